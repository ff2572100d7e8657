package engine

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func TestAFinalStatusNeverChanges(t *testing.T) {
	p := NewProgress()
	p.Apply(Event{Machine: "m1", Attempt: 1, Phase: PhaseMigration, Status: StatusFailed, Problem: &Problem{What: "raised"}})
	p.Apply(Event{Machine: "m1", Attempt: 1, Phase: PhaseMigration, Status: StatusDone})
	if got := p.Machine("m1").Phases[PhaseMigration].Status; got != StatusFailed {
		t.Errorf("migration is %s, want failed", got)
	}
}

func TestUnknownIsNotFinal(t *testing.T) {
	p := NewProgress()
	p.Apply(Event{Machine: "m1", Attempt: 1, Phase: PhaseResume, Status: StatusUnknown})
	p.Apply(Event{Machine: "m1", Attempt: 1, Phase: PhaseResume, Status: StatusDone})
	if got := p.Machine("m1").Phases[PhaseResume].Status; got != StatusDone {
		t.Errorf("resume is %s, want done", got)
	}
}

func TestARetryIsANewAttempt(t *testing.T) {
	p := NewProgress()
	p.Apply(Event{Machine: "m1", Attempt: 1, Phase: PhaseReload, Status: StatusFailed, Problem: &Problem{What: "cut"}})
	p.Apply(Event{Machine: "m1", Attempt: 2, Phase: PhaseInject, Status: StatusRunning})
	p.Apply(Event{Machine: "m1", Attempt: 1, Phase: PhaseReload, Status: StatusDone}) // late
	m := p.Machine("m1")
	if m.Attempt != 2 || m.Problem != nil || len(m.Phases) != 1 {
		t.Errorf("after the second attempt began: %+v", m)
	}
}

func TestQuestionsAreReadOffProgress(t *testing.T) {
	p := NewProgress()
	p.Apply(Event{Phase: PhaseLock, Status: StatusRunning, Held: &LockHeld{ETag: "x"}})
	if p.Asks() != QuestionLock {
		t.Errorf("asks %q, want the lock", p.Asks())
	}
	p.Apply(Event{Phase: PhaseLock, Status: StatusDone})
	p.Apply(Event{Phase: PhasePlan, Status: StatusRunning, Plan: &Plan{}})
	if p.Asks() != QuestionPlan {
		t.Errorf("asks %q, want the plan", p.Asks())
	}
	p.Apply(Event{Phase: PhasePlan, Status: StatusDone})
	if p.Asks() != QuestionNone {
		t.Errorf("asks %q after the answer", p.Asks())
	}
}

// A reader that skips merged events must end where one that saw all of them ends.
func TestMergedAndFullStreamsEndInTheSameProgress(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		full, merged := NewProgress(), NewProgress()
		feed := NewFeed()
		rec := newRecorder(feed)
		at := time.Unix(1700000000, 0)
		for range 200 {
			at = at.Add(time.Millisecond)
			rec.emit(randomEvent(random, at))
			if random.IntN(10) == 0 {
				drain(t, feed, merged)
			}
		}
		rec.close()
		drain(t, feed, merged)
		for _, line := range splitLines(rec.events()) {
			var e Event
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatal(err)
			}
			full.Apply(e)
		}
		for id, m := range full.index {
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
func randomEvent(r *rand.Rand, at time.Time) Event {
	statuses := []Status{StatusPending, StatusRunning, StatusUnknown}
	return Event{
		At: at, Machine: []string{"", "m1", "m2"}[r.IntN(3)], Attempt: 1, Phase: MachinePhases[r.IntN(len(MachinePhases))],
		Status: statuses[r.IntN(len(statuses))], Upgrade: &Upgrade{ID: "u"},
	}
}

func drain(t *testing.T, feed *Feed, p *Progress) {
	t.Helper()
	batch, _ := feed.take()
	for _, e := range batch {
		p.Apply(e)
	}
}

func splitLines(stream []byte) [][]byte {
	var lines [][]byte
	for len(stream) > 0 {
		for i, c := range stream {
			if c == '\n' {
				lines, stream = append(lines, stream[:i]), stream[i+1:]
				break
			}
		}
	}
	return lines
}

func sameStatuses(a, b map[Phase]PhaseState) bool {
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

// The history counts the machines that a deploy is about: not those that turn out to run no release, nor those that start
// meanwhile.
func TestThePastCountsTheMachinesOfTheDeploy(t *testing.T) {
	r := newRecorder(NewFeed())
	for _, id := range []string{"web", "cron"} {
		r.emit(Event{Machine: id, Phase: PhaseInject, Status: StatusPending})
	}
	if past, _ := r.past(); past.Machines != 2 {
		t.Errorf("before anything is known: %d machines, want 2", past.Machines)
	}
	r.emit(Event{Machine: "cron", Phase: PhaseInject, Status: StatusSkipped})
	r.emit(Event{Machine: "web", Phase: PhaseInject, Status: StatusDone})
	r.emit(Event{Machine: "web", Phase: PhaseCheck, Status: StatusDone})
	r.emit(Event{Machine: "newcomer", Phase: PhaseCheck, Status: StatusSkipped})
	if past, _ := r.past(); past.Machines != 1 || past.Upgraded != 1 {
		t.Errorf("%d of %d machines, want 1 of 1", past.Upgraded, past.Machines)
	}
}
