package deploy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/examples/counter"
	"flydeploy/fly/local"
)

// An operator upgrades the whole fleet: every process keeps its pid and its count, every state has the new shape, and
// the bucket says what the machines run. Doing it again changes nothing.
func TestUpgradeOfAWholeFleet(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	before := map[string]counter.Snapshot{}
	for _, id := range w.ids {
		before[id] = w.snapshot(id)
	}

	p, r := w.deploy(settings(), 2)

	if r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	for _, m := range r.Machines {
		c := counter.Compare(before[m.ID], w.snapshot(m.ID), counter.Done{})
		if !c.PidsUnchanged || !c.CountsUnchanged || c.StatesMigrated != counters || c.Version != "2.0.0" {
			t.Errorf("machine %s: %+v", m.ID, c)
		}
		if m.Processes < counters || m.SuspendedUS <= 0 || m.Outcome != "committed" {
			t.Errorf("machine %s reports %+v", m.ID, m)
		}
	}
	for _, ph := range engine.FleetPhases {
		if s := p.Fleet[ph].Status; !s.Final() || s == engine.StatusFailed {
			t.Errorf("phase %s ended %q", ph.Title(), s)
		}
	}
	for _, ph := range []engine.Phase{
		engine.PhaseReload, engine.PhaseExtract, engine.PhaseDetection, engine.PhaseSuspension,
		engine.PhaseCodeLoad, engine.PhaseMigration, engine.PhaseResume,
	} {
		if s := p.Machines[0].Phases[ph]; s.Status != engine.StatusDone || s.DurationUS <= 0 {
			t.Errorf("phase %s of a machine: %+v", ph.Title(), s)
		}
	}
	w.expectMetadata(r)
	w.expectNothingLeft()

	_, again := w.deploy(settings(), 2)
	if again.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("the second time: %s, %v", again.Outcome, again.Problem)
	}
	for _, m := range again.Machines {
		if m.Outcome != "up_to_date" || m.SuspendedUS != 0 {
			t.Errorf("the second time machine %s reports %+v", m.ID, m)
		}
	}
	md, _, err := w.bucket().Metadata(t.Context())
	if err != nil || md.HotUpgrade.ID != r.Upgrade.ID {
		t.Errorf("the second time changed the metadata: %+v, %v", md.HotUpgrade, err)
	}
}

// A migration raises for some processes: every machine goes back as if nothing had happened, and the report names the
// process, its exception and its stack.
func TestAFailedMigrationRollsBackEverywhere(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	before := map[string]counter.Snapshot{}
	for _, id := range w.ids {
		before[id] = w.snapshot(id)
	}

	p, r := w.deploy(settings(), 3)

	if r.Outcome != engine.OutcomeFailed {
		t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	for _, m := range r.Machines {
		after := w.snapshot(m.ID)
		c := counter.Compare(before[m.ID], after, counter.Done{})
		if !c.PidsUnchanged || !c.CountsUnchanged || !c.CodeUnchanged || c.StatesMigrated != 0 || !c.StatesFit || !c.TaskUnchanged {
			t.Errorf("machine %s: %+v", m.ID, c)
		}
		if m.Outcome != "rolled_back" || len(m.Failures) == 0 {
			t.Fatalf("machine %s reports %+v", m.ID, m)
		}
		f := m.Failures[0]
		if !strings.HasPrefix(f.PID, "#PID<") || f.Module != "Counter.Server" || f.Exception == "" || len(f.Stack) == 0 || f.StateBefore == "" {
			t.Errorf("machine %s: the failure is reported as %+v", m.ID, f)
		}
		w.expectFullReport(r.Upgrade.ID, m)
	}
	if _, _, err := w.bucket().Metadata(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("metadata was written for a failed deploy: %v", err)
	}
	w.expectNothingLeft()
}

// expectFullReport: the bucket holds every failure of a machine, of which the result has the first of each kind.
func (w *world) expectFullReport(upgradeID string, m engine.MachineResult) {
	w.t.Helper()
	_, name, _ := strings.Cut(m.FullReport, upgradeID+"/")
	stored, err := w.bucket().Result(w.t.Context(), upgradeID, name)
	if err != nil {
		w.t.Fatalf("the full report %q of machine %s: %v", m.FullReport, m.ID, err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(stored.Body))
	if err != nil {
		w.t.Fatal(err)
	}
	var report struct {
		Outcome  string           `json:"outcome"`
		Failures []engine.Failure `json:"failures"`
	}
	if err := json.NewDecoder(unpacked).Decode(&report); err != nil {
		w.t.Fatal(err)
	}
	if report.Outcome != string(m.Outcome) || len(report.Failures) != m.FailuresTotal || m.FailuresTotal == 0 {
		w.t.Errorf("machine %s: %d of %d failures are in the full report, outcome %s", m.ID, len(report.Failures), m.FailuresTotal, report.Outcome)
	}
	for _, f := range report.Failures {
		if !strings.HasPrefix(f.PID, "#PID<") || f.Exception == "" || len(f.Stack) == 0 || f.StateBefore == "" {
			w.t.Errorf("machine %s: the full report has the failure %+v", m.ID, f)
		}
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

// Answers of exec get lost after the work was done, connections break before it: the deploy finds out what happened.
func TestLostAnswersAreLookedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	s := settings()
	s.Yes, s.Ask = false, true
	d := deploy.Start(t.Context(), s, w.ports(2))
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
		t.Fatalf("outcome %s with faults in %v: %v\n%s", r.Outcome, injected, r.Problem, logOf(p))
	}
	w.expectNothingLeft()
}
