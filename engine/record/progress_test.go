package record_test

import (
	"context"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
)

func TestAFinalStatusNeverChanges(t *testing.T) {
	p := engine.NewProgress()
	p.Apply(engine.Event{Machine: "m1", Attempt: 1, Phase: engine.PhaseMigration, Status: engine.StatusFailed, Problem: &engine.Problem{What: "raised"}})
	p.Apply(engine.Event{Machine: "m1", Attempt: 1, Phase: engine.PhaseMigration, Status: engine.StatusDone})
	if got := p.Machine("m1").Phases[engine.PhaseMigration].Status; got != engine.StatusFailed {
		t.Errorf("migration is %s, want failed", got)
	}
}

func TestUnknownIsNotFinal(t *testing.T) {
	p := engine.NewProgress()
	p.Apply(engine.Event{Machine: "m1", Attempt: 1, Phase: engine.PhaseResume, Status: engine.StatusUnknown})
	p.Apply(engine.Event{Machine: "m1", Attempt: 1, Phase: engine.PhaseResume, Status: engine.StatusDone})
	if got := p.Machine("m1").Phases[engine.PhaseResume].Status; got != engine.StatusDone {
		t.Errorf("resume is %s, want done", got)
	}
}

func TestARetryIsANewAttempt(t *testing.T) {
	p := engine.NewProgress()
	p.Apply(engine.Event{Machine: "m1", Attempt: 1, Phase: engine.PhaseReload, Status: engine.StatusFailed, Problem: &engine.Problem{What: "cut"}})
	p.Apply(engine.Event{Machine: "m1", Attempt: 2, Phase: engine.PhaseInject, Status: engine.StatusRunning})
	p.Apply(engine.Event{Machine: "m1", Attempt: 1, Phase: engine.PhaseReload, Status: engine.StatusDone}) // late
	m := p.Machine("m1")
	if m.Attempt != 2 || m.Problem != nil || len(m.Phases) != 1 {
		t.Errorf("after the second attempt began: %+v", m)
	}
}

func TestQuestionsAreReadOffProgress(t *testing.T) {
	p := engine.NewProgress()
	p.Apply(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusRunning, Held: &engine.LockHeld{ETag: "x"}})
	if p.Asks() != engine.QuestionLock {
		t.Errorf("asks %q, want the lock", p.Asks())
	}
	p.Apply(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusDone})
	p.Apply(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusRunning, Plan: &engine.Plan{}})
	if p.Asks() != engine.QuestionPlan {
		t.Errorf("asks %q, want the plan", p.Asks())
	}
	p.Apply(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusDone})
	if p.Asks() != engine.QuestionNone {
		t.Errorf("asks %q after the answer", p.Asks())
	}
}

// A reader that skips merged events must end where one that saw all of them ends.
func TestMergedAndFullStreamsEndInTheSameProgress(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		full, merged := engine.NewProgress(), engine.NewProgress()
		feed := record.NewFeed()
		rec := record.NewRecorder(feed)
		at := time.Unix(1700000000, 0)
		for range 200 {
			at = at.Add(time.Millisecond)
			rec.Emit(randomEvent(random, at))
			if random.IntN(10) == 0 {
				drain(t, feed, merged)
			}
		}
		rec.Close()
		drain(t, feed, merged)
		all, err := rec.Stream().Next(t.Context())
		if err != nil || len(all) != 200 {
			t.Fatalf("%d of 200 events: %v", len(all), err)
		}
		for _, e := range all {
			full.Apply(e)
		}
		for _, m := range full.Machines {
			id := m.ID
			if got := merged.Machine(id); !sameStatuses(got.Phases, m.Phases) || got.Attempt != m.Attempt {
				t.Fatalf("seed %d machine %s: merged %+v, full %+v", seed, id, got.Phases, m.Phases)
			}
		}
		if !sameStatuses(merged.Fleet, full.Fleet) || !reflect.DeepEqual(merged.Upgrade, full.Upgrade) {
			t.Fatalf("seed %d fleet: merged %+v, full %+v", seed, merged.Fleet, full.Fleet)
		}
	}
}

// randomEvent respects what the engine guarantees: after a final status nothing more comes of a phase's attempt.
func randomEvent(r *rand.Rand, at time.Time) engine.Event {
	statuses := []engine.Status{engine.StatusPending, engine.StatusRunning, engine.StatusUnknown}
	return engine.Event{
		At: at, Machine: []string{"", "m1", "m2"}[r.IntN(3)], Attempt: 1, Phase: engine.MachinePhases[r.IntN(len(engine.MachinePhases))],
		Status: statuses[r.IntN(len(statuses))], Upgrade: &engine.Upgrade{ID: "u"},
	}
}

// drain applies the events that wait.
func drain(t *testing.T, feed *record.Feed, p *engine.Progress) {
	t.Helper()
	ended, end := context.WithCancel(t.Context())
	end() // Next must not wait
	batch, _ := feed.Next(ended)
	for _, e := range batch {
		p.Apply(e)
	}
}

func sameStatuses(a, b map[engine.Phase]engine.PhaseState) bool {
	if len(a) != len(b) {
		return false
	}
	for p, s := range a {
		if b[p].Status != s.Status {
			return false
		}
	}
	return true
}

// The history counts the machines that a deploy is about, without those that turn out to run no release or that start meanwhile.
func TestThePastCountsTheMachinesOfTheDeploy(t *testing.T) {
	r := record.NewRecorder(record.NewFeed())
	for _, id := range []string{"web", "cron"} {
		r.Emit(engine.Event{Machine: id, Phase: engine.PhaseInject, Status: engine.StatusPending})
	}
	if past, _ := r.Past(); past.Machines != 2 {
		t.Errorf("before anything is known: %d machines, want 2", past.Machines)
	}
	r.Emit(engine.Event{Machine: "cron", Phase: engine.PhaseInject, Status: engine.StatusSkipped})
	r.Emit(engine.Event{Machine: "web", Phase: engine.PhaseInject, Status: engine.StatusDone})
	r.Emit(engine.Event{Machine: "web", Phase: engine.PhaseCheck, Status: engine.StatusDone})
	r.Emit(engine.Event{Machine: "newcomer", Phase: engine.PhaseCheck, Status: engine.StatusSkipped})
	if past, _ := r.Past(); past.Machines != 1 || past.Upgraded != 1 {
		t.Errorf("%d of %d machines, want 1 of 1", past.Upgraded, past.Machines)
	}
}

// Who counts machines keeps little of them, and counts them as who shows them.
func TestABriefProgressCountsAlike(t *testing.T) {
	full, brief := engine.NewProgress(), engine.NewBriefProgress()
	for _, e := range []engine.Event{
		{Machine: "m1", Attempt: 1, Phase: engine.PhaseInject, Status: engine.StatusSkipped, State: engine.MachineLeftOut},
		{Machine: "m2", Attempt: 1, Phase: engine.PhaseInject, Status: engine.StatusDone, State: engine.MachineStaging},
		{Machine: "m2", Attempt: 1, Phase: engine.PhaseReload, Status: engine.StatusFailed, State: engine.MachineFailed},
		{Machine: "m2", Attempt: 2, Phase: engine.PhaseInject, Status: engine.StatusRunning, State: engine.MachineStaging},
		{Machine: "m2", Attempt: 2, Phase: engine.PhaseResume, Status: engine.StatusDone, State: engine.MachineCommitted, Report: &engine.MachineReport{SuspendedUS: 9}},
		{Phase: engine.PhasePlan, Status: engine.StatusDone, Plan: &engine.Plan{Verdict: engine.Verdict{Word: engine.VerdictHot}}},
	} {
		full.Apply(e)
		brief.Apply(e)
	}
	for i, m := range full.Machines {
		b := brief.Machines[i]
		if b.State != m.State || b.Attempt != m.Attempt || b.Report.SuspendedUS != m.Report.SuspendedUS || b.Phases[engine.PhaseInject] != m.Phases[engine.PhaseInject] || len(b.Phases) != 1 {
			t.Errorf("%s: %+v, in full %+v", m.ID, b, m)
		}
	}
	if brief.Plan != full.Plan || len(brief.Log) > 0 {
		t.Errorf("plan %v, %d lines of log", brief.Plan, len(brief.Log))
	}
}
