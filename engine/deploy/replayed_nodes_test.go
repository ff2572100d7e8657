package deploy_test

import (
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/engine/record"
)

// refusesAReplayedRecord: a machine that runs a signed upgrade is withdrawn from it. Then somebody writes back the record of before, and a sick
// upgrade is not taken back to that: the VM tells what it ran. With the true record it is; and once more to the same, where nobody could record
// that.
func (w *world) refusesAReplayedRecord(id string) {
	w.t.Helper()
	old := w.current()
	s := settings()
	if _, err := record.Withdraw(w.t.Context(), s, w.storage(), w.keys, "counter", ""); err != nil {
		w.t.Fatal(err)
	}
	withdrawn := w.current()
	w.restart(id)
	w.expectVersion(id, "1.0.0")
	w.replay(old)
	r := w.careless(id, 1)
	const why = "it could not be taken back: the upgrade to 2.0.0 in current.json was signed at "
	if m := machineOf(r, id); m.Outcome != engine.OutcomeMachineUnhealthy || !strings.Contains(m.Error, why) || !strings.Contains(m.Error, ", and machine "+id+" has run what was signed at ") {
		w.t.Fatalf("%s: it is %s: %s", r.Outcome, m.Outcome, m.Error)
	}
	if v := w.snapshot(id).Versions.Version; v != "4.0.0" {
		w.t.Errorf("it runs %s", v)
	}

	w.replay(withdrawn)
	w.restart(id)
	w.expectVersion(id, "1.0.0")
	for i, when := range []string{"at first", "where nobody could record the way back before"} {
		w.t.Log(when)
		if m := machineOf(w.careless(id, 2+i), id); m.Outcome != engine.OutcomeTakenBack {
			w.t.Fatalf("%s: it is %s: %s", when, m.Outcome, m.Error)
		}
		if v := w.snapshot(id).Versions.Version; v != "1.0.0" {
			w.t.Errorf("%s: it runs %s", when, v)
		}
		w.replay(withdrawn)
	}
}

// replay writes a record, as whoever can write to the bucket can.
func (w *world) replay(md engine.Metadata) {
	w.t.Helper()
	b := w.bucket()
	_, etag, err := b.Metadata(w.t.Context())
	if err == nil {
		err = b.WriteMetadata(w.t.Context(), md, etag)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) storage() engine.Storage {
	b := w.bucket()
	return engine.Storage{Locks: b, Records: b, Tarballs: b}
}

// careless deploys version 4 to a machine whose release is version 1, and has a counter crash. The next one begins with a state that fits.
func (w *world) careless(id string, counter int) engine.Result {
	w.t.Helper()
	s := settings()
	s.Select.Machines = []string{id}
	s.Accept = append(s.Accept, "stale_struct", "stale_shape", "children_changed", "taken_back", "other_base", engine.NothingHot)
	s.Strategy = engine.Strategy{Kind: engine.StrategyAll, Bake: 5 * time.Minute}
	s.OnSick = engine.OnSickBack
	d := deploy.Start(w.t.Context(), s, w.ports(4))
	crashed := false
	p := w.watch(d, func(p *engine.Progress) {
		for _, m := range p.Machines {
			if m.Phases[engine.PhaseWatch].Status == engine.StatusRunning && !crashed {
				crashed = true
				if _, err := w.client(id).Increment(w.t.Context(), counter); err == nil {
					w.t.Errorf("counter %d has not crashed", counter)
				}
			}
		}
	})
	r := d.Result()
	if !crashed {
		w.t.Fatalf("outcome %s (%s): %v\n%s", r.Outcome, outcomes(r), r.Problem, logOf(p))
	}
	return r
}
