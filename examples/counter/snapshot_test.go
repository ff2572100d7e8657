package counter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// snapshotOf makes a machine with 3 counters at 9, 10 and 11.
func snapshotOf(shape int) Snapshot {
	s := Snapshot{
		Versions: Versions{Version: fmt.Sprintf("%d.0.0", shape), Modules: map[string]Module{"Counter.Server": {MD5: fmt.Sprint(shape)}}},
		Counters: Counters{Number: 3, CurrentShape: shape, InCurrentShape: 3},
		Task:     Task{PID: "<0.1.0>"},
		Statem:   Statem{PID: "<0.2.0>", State: "open", Turns: 3},
		Agent:    Agent{PID: "<0.3.0>", Sweeps: 5},
		Events:   Events{PID: "<0.4.0>", Milestones: 2},
		ETS:      ETS{Owner: "<0.5.0>"},
	}
	for n := 1; n <= 3; n++ {
		pid := fmt.Sprintf("<0.%d.0>", 10+n)
		s.Counters.Counters = append(s.Counters.Counters, Counter{Number: n, PID: pid, Count: int64(8 + n), Shape: shape})
	}
	return s
}

func TestCompareMigrated(t *testing.T) {
	before, after := snapshotOf(1), snapshotOf(2)
	after.Counters.Counters[0].Count = 11 // two more, which made a milestone
	after.Events.Milestones++
	after.Agent.Sweeps += 2
	done := Done{Increments: map[int]int64{1: 1}, IncrementsUnconfirmed: map[int]int64{1: 1, 2: 1}, Sweeps: 1, SweepsUnconfirmed: 1}
	c := Compare(before, after, done)
	if !c.PidsUnchanged || !c.TaskUnchanged || !c.CountsUnchanged || c.StatesMigrated != 3 || !c.StatesFit || c.CodeUnchanged ||
		c.Version != "2.0.0" || len(c.Problems) != 0 {
		t.Errorf("the comparison is %+v", c)
	}
}

func TestCompareFindsDifferences(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*Snapshot)
		wrong   func(Comparison) bool
		problem string
	}{
		"another pid": {
			func(s *Snapshot) { s.Counters.Counters[1].PID = "<0.99.0>" },
			func(c Comparison) bool { return !c.PidsUnchanged && c.CountsUnchanged },
			"counter 2 was <0.12.0> and is <0.99.0>",
		},
		"a counter is gone": {
			func(s *Snapshot) { s.Counters.Counters, s.Counters.Number = s.Counters.Counters[:2], 2 },
			func(c Comparison) bool { return !c.PidsUnchanged && !c.CountsUnchanged },
			"there were 3 counters and are 2",
		},
		"a lost count": {
			func(s *Snapshot) { s.Counters.Counters[2].Count-- },
			func(c Comparison) bool { return c.PidsUnchanged && !c.CountsUnchanged },
			"counter 3 was 11",
		},
		"a count too many": {
			func(s *Snapshot) { s.Counters.Counters[2].Count++ },
			func(c Comparison) bool { return !c.CountsUnchanged },
			"counter 3 was 11",
		},
		"a lost milestone": {
			func(s *Snapshot) { s.Events.Milestones-- },
			func(c Comparison) bool { return !c.CountsUnchanged },
			"milestones",
		},
		"another state of the gen_statem": {
			func(s *Snapshot) { s.Statem.State = "closed" },
			func(c Comparison) bool { return !c.CountsUnchanged },
			"the gen_statem was open and is closed",
		},
		"a new Agent": {
			func(s *Snapshot) { s.Agent = Agent{PID: "<0.98.0>"} },
			func(c Comparison) bool { return !c.PidsUnchanged && !c.CountsUnchanged },
			"the Agent",
		},
		"a state that does not fit": {
			func(s *Snapshot) { s.Counters.InCurrentShape = 2 },
			func(c Comparison) bool { return !c.StatesFit },
			"1 of 3 states do not fit",
		},
		"a restarted task": {
			func(s *Snapshot) { s.Task.PID = "<0.97.0>" },
			func(c Comparison) bool { return !c.TaskUnchanged && c.PidsUnchanged },
			"",
		},
		"other code": {
			func(s *Snapshot) { s.Versions.Modules["Counter.Server"] = Module{MD5: "other"} },
			func(c Comparison) bool { return !c.CodeUnchanged },
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			after := snapshotOf(1)
			test.change(&after)
			c := Compare(snapshotOf(1), after, Done{})
			if !test.wrong(c) || !strings.Contains(strings.Join(c.Problems, "\n"), test.problem) {
				t.Errorf("the comparison is %+v", c)
			}
			if (test.problem == "") != (len(c.Problems) == 0) {
				t.Errorf("problems are %q", c.Problems)
			}
		})
	}
}

// A failed migration that was taken back leaves old code and old states; nothing is called migrated.
func TestCompareTakenBack(t *testing.T) {
	c := Compare(snapshotOf(1), snapshotOf(1), Done{})
	if c.StatesMigrated != 0 || !c.StatesFit || !c.CodeUnchanged || !c.PidsUnchanged || !c.CountsUnchanged {
		t.Errorf("the comparison is %+v", c)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	got := first(slices.Repeat([]string{"a problem"}, 8))
	if len(got) != problemsShown+1 || got[problemsShown] != "and 3 more" {
		t.Errorf("got %q", got)
	}
}
