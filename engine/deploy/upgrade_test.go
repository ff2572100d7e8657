package deploy_test

import (
	"context"
	"errors"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/fly/local"
)

// expectUpgraded checks what the first deploy of a whole fleet says: its phases, its machines, and the record. Doing it again changes
// nothing.
func (w *world) expectUpgraded(p *engine.Progress, r engine.Result) {
	w.t.Helper()
	for _, m := range r.Machines {
		if m.Processes < counters || m.SuspendedUS <= 0 || m.Outcome != "committed" {
			w.t.Errorf("machine %s reports %+v", m.ID, m)
		}
	}
	for _, ph := range engine.FleetPhases {
		if s := p.Fleet[ph].Status; !s.Final() || s == engine.StatusFailed {
			w.t.Errorf("phase %s ended %q", ph.Title(), s)
		}
	}
	for _, ph := range []engine.Phase{
		engine.PhaseReload, engine.PhaseExtract, engine.PhaseDetection, engine.PhaseSuspension,
		engine.PhaseCodeLoad, engine.PhaseMigration, engine.PhaseResume,
	} {
		if s := p.Machines[0].Phases[ph]; s.Status != engine.StatusDone || s.DurationUS <= 0 {
			w.t.Errorf("phase %s of a machine: %+v", ph.Title(), s)
		}
	}
	w.expectMetadata(r)
	w.expectNothingLeft()

	same := settings()
	same.To = r.Upgrade.ID
	_, again := w.deploy(same, 2)
	if again.Outcome != engine.OutcomeSucceeded {
		w.t.Fatalf("the second time: %s, %v", again.Outcome, again.Problem)
	}
	for _, m := range again.Machines {
		if m.Outcome != "up_to_date" || m.SuspendedUS != 0 {
			w.t.Errorf("the second time machine %s reports %+v", m.ID, m)
		}
	}
	md, _, err := w.bucket().Metadata(w.t.Context())
	if err != nil || md.HotUpgrade.ID != r.Upgrade.ID {
		w.t.Errorf("the second time changed the metadata: %+v, %v", md.HotUpgrade, err)
	}
}

// expectMetadata checks current.json against the deploy.
func (w *world) expectMetadata(r engine.Result) {
	w.t.Helper()
	md, _, err := w.bucket().Metadata(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	u := md.HotUpgrade
	if u == nil || len(md.MachineUpgrades) != 0 || md.FullImage() != r.Upgrade.BaseImage || u.SHA256 != r.Upgrade.SHA256 ||
		u.Version != "2.0.0" || !strings.HasSuffix(u.TarballURL, "/releases/counter-2.0.0.tar.gz") {
		w.t.Errorf("current.json: %+v, hot upgrade %+v", md, u)
	}
}

// expectNothingLeft: no temporary machine and no lock.
func (w *world) expectNothingLeft() {
	w.t.Helper()
	if left := w.temporaryMachines(); len(left) > 0 {
		w.t.Errorf("temporary machines are left: %v", left)
	}
	if held, err := w.bucket().Current(context.WithoutCancel(w.t.Context())); !errors.Is(err, engine.ErrNotFound) {
		w.t.Errorf("the lock is left: %+v, %v", held, err)
	}
}

func logOf(p *engine.Progress) string {
	var b strings.Builder
	for _, l := range p.Log {
		b.WriteString(l.Machine + " " + string(l.Phase) + " " + string(l.Status) + " " + l.Text + "\n")
	}
	return b.String()
}

// deployThroughFaults upgrades to version 2 while answers of exec get lost after the work was done, and connections break before it:
// the deploy finds out what happened.
func (w *world) deployThroughFaults(s engine.Settings) {
	w.t.Helper()
	s.Yes, s.Ask = false, true
	d := deploy.Start(w.t.Context(), s, w.ports(2))
	exec := local.Target{Service: local.API, Action: local.ActionExec}
	w.local.Faults().Inject(exec, 1, local.Forget(408, `{"error":"deadline_exceeded"}`))
	injected := map[engine.Phase]bool{}

	p := w.watch(d, func(p *engine.Progress) {
		for _, ph := range []engine.Phase{engine.PhaseTarball, engine.PhaseUpload, engine.PhaseStage, engine.PhaseCommit} {
			if p.Fleet[ph].Status == engine.StatusRunning && !injected[ph] {
				injected[ph] = true
				w.local.Faults().Inject(exec, 1, local.Forget(502, "<html>bad gateway</html>"))
				w.local.Faults().Inject(exec, 1, local.Cut())
			}
		}
		if p.Asks() == engine.QuestionPlan {
			d.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		}
	})

	if r := d.Result(); r.Outcome != engine.OutcomeSucceeded || len(injected) != 4 {
		w.t.Fatalf("outcome %s with faults in %v: %v\n%s", r.Outcome, injected, r.Problem, logOf(p))
	}
	w.expectNothingLeft()
}
