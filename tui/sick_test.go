package tui

import (
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// watched are the events of a deploy whose first machine is watched after its commit.
func watched() *tuitest.Script {
	s := tuitest.NewScript(3)
	s.Start()
	s.Stage()
	s.Confirmed(s.Plan())
	s.Arm()
	s.Commit(0)
	const first = "148e00016c0000"
	s.Emit(engine.Event{Machine: first, Attempt: 1, Phase: engine.PhaseWatch, Status: engine.StatusRunning, State: engine.MachineRecorded})
	s.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: "wave 1 of 2: watched, 9s left", Asks: engine.QuestionWatch})
	return s
}

func TestAWatchIsHeldAndEndedByKeys(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(watched().Events, nil)
	b.shows("wave 1 of 2: watched, 9s left", "watched", "N go on now", "H hold")
	b.keys("enter") // details stay while the watch goes on
	b.keys("esc", "H")
	b.shows("Held: watched until you go on with N")
	b.keys("N")
	got := p.Given()
	if len(got) != 2 || got[0].To != engine.QuestionWatch || got[0].Way != engine.WayHold || got[1].Way != engine.WayPromote {
		t.Fatalf("answers %+v", got)
	}
}

// Whoever detaches from a deploy that waits for a key is told so before.
func TestLeavingADeployThatWaitsForAKey(t *testing.T) {
	s := watched()
	for i := range s.Events {
		if p := s.Events[i].Plan; p != nil {
			p.Waits = true
		}
	}
	for _, size := range sizes {
		b := newBench(t, size, Options{})
		b.deploys(s.Events, nil)
		b.keys("esc")
		b.fits()
		if size.h > 16 {
			b.shows("it waits for a key (N)", "55 minutes")
		}
		b.keys("esc")
		paused := s.Events[len(s.Events)-1]
		paused.Seq, paused.Text, paused.Ways = paused.Seq+1, "wave 1 of 2: held, watched for 12s", []engine.Way{engine.WayPromote}
		b.hears([]engine.Event{paused}, nil)
		b.keys("esc")
		if size.h > 16 {
			b.shows("it waits for a key (N, as it does now)")
		}
	}
}

func TestWhatIsNotWellIsAsked(t *testing.T) {
	sick := func() *tuitest.Script {
		s := watched()
		s.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: "it is not well", Asks: engine.QuestionSick,
			Ways:    []engine.Way{engine.WayStop, engine.WayBack, engine.WayContinue},
			Problem: engine.NewProblem("unhealthy", "0.2.0 runs on 1 of 3 machines, and is not well: 214 crashes of Shop.Cart in 8 s: KeyError :step at cart.ex:41", nil, "")})
		return s
	}
	for key, way := range map[string]engine.Way{"enter": engine.WayStop, "esc": engine.WayStop, "s": engine.WayStop, "b": engine.WayBack, "g": engine.WayContinue} {
		for _, s := range sizes {
			b := newBench(t, s, Options{})
			p := b.deploys(sick().Events, nil)
			if b.dialog == nil {
				t.Fatalf("%s: nothing is asked", s)
			}
			b.fits()
			if s.h > 16 {
				b.shows("It is not well", "0.2.0 runs on 1 of 3 machines", "Take it back")
			}
			b.keys(key)
			if got := p.Given(); b.dialog != nil || len(got) != 1 || got[0].To != engine.QuestionSick || got[0].Way != way {
				t.Errorf("%s: answers %+v, want %s", key, got, way)
			}
		}
	}
}

// Machines that have failed can be tried again, as long as that is offered.
func TestWhatHasFailedIsAsked(t *testing.T) {
	failed := func() *tuitest.Script {
		s := watched()
		s.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: "machines have failed", Asks: engine.QuestionFailed,
			Ways:    []engine.Way{engine.WayStop, engine.WayRetry, engine.WayBack},
			Problem: engine.NewProblem("migration_failed", "machine 148e00021e3d01: rolled back: Counter.Server raised ** (RuntimeError) no", nil, "")})
		return s
	}
	for key, way := range map[string]engine.Way{"enter": engine.WayStop, "esc": engine.WayStop, "r": engine.WayRetry, "b": engine.WayBack, "g": ""} {
		for _, s := range sizes {
			b := newBench(t, s, Options{})
			p := b.deploys(failed().Events, nil)
			b.fits()
			if s.h > 16 {
				b.shows("Machines have failed", "rolled back: Counter.Server raised", "r Try again", "Taking it back deploys, hot,")
			}
			b.keys(key)
			got := p.Given()
			if way == "" && (len(got) > 0 || b.dialog == nil) || way != "" && (len(got) != 1 || got[0].To != engine.QuestionFailed || got[0].Way != way) {
				t.Errorf("%s: answers %+v, want %q", key, got, way)
			}
		}
	}
}

// The details of a machine tell what has crashed, and where.
func TestDetailsTellCrashes(t *testing.T) {
	s := watched()
	s.Emit(engine.Event{Machine: "148e00016c0000", Phase: engine.PhaseWatch, Status: engine.StatusFailed, State: engine.MachineUnhealthy,
		Problem: engine.NewProblem("unhealthy", "5 crashes of Shop.Cart in 2 s: KeyError :step at cart.ex:41", nil, ""),
		Report: &engine.MachineReport{Crashes: []engine.Crash{{Module: "Shop.Cart", Exception: "KeyError :step", At: "cart.ex:41", Count: 5,
			Stack: []string{"lib/cart.ex:41: Shop.Cart.handle_call/3"}}}}})
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(s.Events, nil)
	b.pass(time.Minute) // the row has moved to the top
	b.shows("not well")
	b.keys("g", "enter")
	b.shows("5 crashes of Shop.Cart: KeyError :step at cart.ex:41", "lib/cart.ex:41: Shop.Cart.handle_call/3")
}
