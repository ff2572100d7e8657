package deploy_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/record"
)

// seen is what a colleague has seen of a deploy.
type seen struct {
	states map[string]engine.MachineState
	seq    int64
	gaps   int
	err    error // why there was no more, nil at its end
}

func (s *seen) count(is func(engine.MachineState) bool) int {
	n := 0
	for _, state := range s.states {
		if is(state) {
			n++
		}
	}
	return n
}

// watchedBy has consoles watch a deploy, and gives what each has seen once all have come to an end.
func (s *stage) watchedBy(consoles int, id string) (wait func() []*seen) {
	var all []*seen
	var watching sync.WaitGroup
	for i := range consoles {
		w := &seen{states: map[string]engine.MachineState{}}
		all = append(all, w)
		source := record.Watch(s.NewConsole(fmt.Sprintf("colleague %d", i)).Storage, id, time.Second)
		watching.Go(func() {
			for w.err == nil {
				batch, err := source.Next(s.t.Context())
				if errors.Is(err, io.EOF) {
					return
				}
				w.err = err
				for _, e := range batch {
					if e.Seq != w.seq+1 {
						w.gaps++
					}
					if w.seq = e.Seq; e.State != "" {
						w.states[e.Machine] = e.State
					}
				}
			}
		})
	}
	return func() []*seen {
		watching.Wait()
		return all
	}
}

// Colleagues, fifty in make soak, watch the deploy of a large fleet. Its console is killed in the middle: all learn that; and another console finishes it
// before their eyes.
func TestManyWatchADeployWhoseConsoleIsKilled(t *testing.T) {
	machines, consoles := 30, 5
	if os.Getenv("FLYDEPLOY_SOAK") != "" {
		machines, consoles = 1000, 50
	}
	played(t, machines, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.Strategy = engine.Strategy{Kind: "30%,100%", Bake: 10 * time.Second}
		killed := s.startOn(s.NewConsole("laptop"), settings)
		killed.until("it has the lock", func(e engine.Event) bool { return e.Phase == engine.PhaseLock && e.Status == engine.StatusDone })
		first := s.watchedBy(consoles, killed.p.Upgrade.ID)
		recorded := 0
		killed.until("half of the fleet is upgraded", func(e engine.Event) bool {
			if e.State == engine.MachineRecorded && e.Phase == engine.PhaseCheck {
				recorded++
			}
			return recorded > machines/2
		})
		s.On(agenttest.Match{Console: "laptop"}, agenttest.LoseRequest)
		killed.Hurry()
		killed.end()
		for i, w := range first() {
			if w.err == nil || engine.AsProblem(w.err).Name != "silent" || w.gaps > 0 || w.count(engine.MachineState.Upgraded) < machines*3/10 {
				t.Errorf("colleague %d saw %d events with %d gaps, %d machines upgraded: %v", i, w.seq, w.gaps, w.count(engine.MachineState.Upgraded), w.err)
			}
		}
		desk := s.startOn(s.NewConsole("desk"), resuming(playedSettings()))
		desk.until("it has the lock", func(e engine.Event) bool { return e.Phase == engine.PhaseLock && e.Status == engine.StatusDone })
		second := s.watchedBy(consoles, desk.p.Upgrade.ID)
		p, r := desk.end()
		if r.Outcome != engine.OutcomeSucceeded || len(r.Machines) != machines {
			t.Fatalf("it ended %s, %s: %v\n%s", r.Outcome, outcomeCounts(r), r.Problem, logOf(p))
		}
		for i, w := range second() {
			if w.err != nil || w.gaps > 0 || w.count(engine.MachineState.Upgraded) != machines {
				t.Errorf("colleague %d saw %d events with %d gaps, %d machines upgraded: %v", i, w.seq, w.gaps, w.count(engine.MachineState.Upgraded), w.err)
			}
		}
		for _, m := range r.Machines {
			if n := len(s.Calls(agenttest.Match{Kind: agenttest.Commit, Machine: m.ID})); n > 2 {
				t.Errorf("machine %s was told to commit %d times", m.ID, n)
			}
		}
		s.nothingLeft()
	})
}
