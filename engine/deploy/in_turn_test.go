package deploy_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

// inTurn has each machine run one command at a time, as the published source of Fly's init does (superfly/init-snapshot, src/api/exec.rs): a
// second one waits. It gives how many of a console's had to wait.
func (s *stage) inTurn(console string) (waited func() int) {
	var mu sync.Mutex
	turns, n := map[string]chan struct{}{}, 0
	turn := func(machine string) chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		if turns[machine] == nil {
			turns[machine] = make(chan struct{}, 1)
		}
		return turns[machine]
	}
	s.On(agenttest.Match{Kinds: agenttest.Kind.IsExec}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
		t := turn(c.Machine)
		select {
		case t <- struct{}{}:
		default:
			if c.Console == console {
				mu.Lock()
				n++
				mu.Unlock()
			}
			select {
			case t <- struct{}{}:
			case <-ctx.Done():
				return agenttest.Answer{Err: ctx.Err()}
			}
		}
		defer func() { <-t }()
		return carryOut()
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// A console never asks a machine for a second command while one runs there, whatever it does.
func TestCommandsOnAMachineFollowEachOther(t *testing.T) {
	for name, deploys := range map[string]func(t *testing.T, s *stage){
		"a canary, then the others": func(t *testing.T, s *stage) {
			settings := baking(10 * time.Second)
			settings.Strategy.Kind = engine.StrategyCanary
			p, r := s.deploy(settings)
			wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed")
		},
		"taken back": func(t *testing.T, s *stage) {
			p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00", "m01", "m02")
			wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m02 taken_back, m01 taken_back")
		},
		"on trial, and confirmed": func(t *testing.T, s *stage) {
			if _, r := s.deploy(onTrial()); r.Trial == nil {
				t.Fatal(r.Problem)
			}
			if _, r := s.deploy(ending(engine.TrialConfirmed)); r.Outcome != engine.OutcomeSucceeded {
				t.Error(r.Problem)
			}
		},
		"a migration fails": func(t *testing.T, s *stage) {
			s.Behave("m02", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
			if _, r := s.deploy(baking(0)); r.Outcome == engine.OutcomeSucceeded {
				t.Error(r.Outcome)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				waited := s.inTurn("")
				deploys(t, s)
				if n := waited(); n > 0 {
					t.Errorf("%d commands were asked for while another one ran on their machine", n)
				}
				s.nothingLeft()
			})
		})
	}
}

// A colleague's looks at the machines, which a deploy's commands wait for, and theirs for these, do a deploy no harm.
func TestAColleagueLooksWhereCommandsFollowEachOther(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		looks, answered := s.inTurn("colleague"), 0
		colleague := s.NewConsole("colleague")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				for _, id := range []string{"m00", "m01"} {
					vm, err := agent.Discover(ctx, on(colleague, id), engine.Release{})
					if err == nil {
						_, err = agent.Loaded(ctx, on(colleague, id), vm)
					}
					if err == nil {
						answered++
					}
				}
				time.Sleep(100 * time.Millisecond) // in virtual time
			}
		}()
		p, r := s.deploy(baking(10 * time.Second))
		stop()
		<-ended
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if looks() == 0 || answered == 0 {
			t.Errorf("%d looks had to wait, %d were answered", looks(), answered)
		}
		s.nothingLeft()
	})
}

func on(c *agenttest.Console, id string) agent.Exec {
	return func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
		return c.Fleet.Exec(ctx, id, command, stdin, timeout)
	}
}
