package deploy_test

import (
	"context"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// largeFleet gives the settings of a deploy to sixty machines, of which five may fail.
func largeFleet() engine.Settings {
	s := baking(20 * time.Second)
	s.MaxFailed = 5
	return s
}

// seenAt gives when a machine came to a state first, zero if never.
func seenAt(events []engine.Event, machine string, state engine.MachineState) time.Time {
	for _, e := range events {
		if e.Machine == machine && e.State == state {
			return e.At
		}
	}
	return time.Time{}
}

// ended gives when a phase of the fleet ended.
func ended(events []engine.Event, phase engine.Phase) (at time.Time) {
	for _, e := range events {
		if e.Machine == "" && e.Phase == phase && e.Status != engine.StatusRunning {
			at = e.At
		}
	}
	return at
}

// A machine of a large fleet that is much slower than the others begins before them, so that they do not wait for it at the end.
func TestSlowMachinesBeginFirst(t *testing.T) {
	played(t, 450, func(t *testing.T, s *stage) { // more than are asked at once
		s.Hook(func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			if c.Machine == "m449" && c.Kind.IsExec() {
				return agenttest.Delay(2*time.Second)(ctx, c, carryOut)
			}
			return carryOut()
		})
		p, r := s.deploy(largeFleet())
		if r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		events := s.recordedEvents(r.Upgrade.ID)
		for _, state := range []engine.MachineState{engine.MachineStaging, engine.MachineArming} {
			if first := seenAt(events, "m449", state); first.After(seenAt(events, "m00", state)) {
				t.Errorf("it was %s %s after the first machine", state, first.Sub(seenAt(events, "m00", state)))
			}
		}
	})
}

// A machine of a large fleet whose VM boots is waited for while another is silent, not after that.
func TestABootingMachineIsStagedMeanwhile(t *testing.T) {
	played(t, 60, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Inject, Machine: "m10", Times: 1}, agenttest.Before(func() {
			s.Restart("m10", agenttest.Boot{Found: 3 * time.Second, Answers: 5 * time.Second})
		}))
		s.On(agenttest.Match{Kind: agenttest.Inject, Machine: "m20"}, agenttest.Hang)
		p, r := s.deploy(largeFleet())
		events := s.recordedEvents(r.Upgrade.ID)
		booted, silent := seenAt(events, "m10", engine.MachineStaged), seenAt(events, "m20", engine.MachineFailed)
		if booted.IsZero() || silent.IsZero() || booted.After(silent) {
			t.Errorf("m10 was staged at %s, m20 given up at %s: %v\n%s", booted, silent, r.Problem, logOf(p))
		}
		if after := ended(events, engine.PhaseStage).Sub(silent); after > time.Second {
			t.Errorf("staging has ended %s after the last machine", after)
		}
	})
}

// One that falls silent as soon as it has booted is given up after the boot's time and the last ones', not only after the injection's.
func TestABootingMachineThatFallsSilent(t *testing.T) {
	played(t, 60, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Inject, Machine: "m10", Times: 1}, agenttest.Before(func() {
			s.Restart("m10", agenttest.Boot{Found: 3 * time.Second})
			s.On(agenttest.Match{Kind: agenttest.Inject, Machine: "m10"}, agenttest.Hang)
		}))
		p, r := s.deploy(largeFleet())
		events := s.recordedEvents(r.Upgrade.ID)
		began, gone := seenAt(events, "m10", engine.MachineStaging), seenAt(events, "m10", engine.MachineFailed)
		if took := gone.Sub(began); gone.IsZero() || took < 38*time.Second || took > 45*time.Second {
			t.Errorf("it was given up after %s: %v\n%s", took, r.Problem, logOf(p))
		}
	})
}

// The agents of machines that have committed watch while the last ones of a large fleet are waited for: that is part of the bake time, and what
// crashes meanwhile ends the deploy.
func TestWaitingForTheLastOnesIsWatching(t *testing.T) {
	for _, crashes := range []bool{false, true} {
		t.Run(map[bool]string{false: "well", true: "a crash meanwhile"}[crashes], func(t *testing.T) {
			played(t, 60, func(t *testing.T, s *stage) {
				s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m20"}, agenttest.Hang)
				run := s.start(largeFleet())
				if crashes {
					run.until("nearly all have committed", func(engine.Event) bool {
						n := 0
						for _, m := range run.p.Machines {
							if m.State == engine.MachineRecorded {
								n++
							}
						}
						return n == 59
					})
					s.Crash("m30", 3)
				}
				p, r := run.end()
				events := s.recordedEvents(r.Upgrade.ID)
				committed, silent := time.Time{}, seenAt(events, "m20", engine.MachineUnknown)
				for _, e := range events {
					if e.State == engine.MachineCommitted && e.At.After(committed) {
						committed = e.At
					}
				}
				took := ended(events, engine.PhaseCommit).Sub(committed)
				switch {
				case silent.Sub(committed) < 7*time.Second:
					t.Fatalf("it was not waited for: %s", silent.Sub(committed))
				case crashes && (r.Outcome != engine.OutcomeUnhealthy || seenAt(events, "m30", engine.MachineUnhealthy).IsZero()):
					t.Errorf("it ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				case !crashes && (r.Outcome != engine.OutcomePartial || took < 20*time.Second || took > 24*time.Second):
					t.Errorf("it ended %s, and was watched for %s: %v\n%s", r.Outcome, took, r.Problem, logOf(p))
				}
			})
		})
	}
}

// A machine whose commit was seen, and not what it runs since, is looked at again while the others are watched.
func TestALateMachineIsVerifiedWhileOthersAreWatched(t *testing.T) {
	played(t, 60, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.LoadedCode, Machine: "m20", Times: 1}, agenttest.Hang)
		p, r := s.deploy(largeFleet())
		events := s.recordedEvents(r.Upgrade.ID)
		verified, watched := seenAt(events, "m20", engine.MachineVerified), ended(events, engine.PhaseCommit)
		if r.Outcome != engine.OutcomeSucceeded || verified.IsZero() || verified.After(watched.Add(-5*time.Second)) {
			t.Errorf("it ended %s, verified %s before the watch had ended: %v\n%s", r.Outcome, watched.Sub(verified), r.Problem, logOf(p))
		}
		for _, e := range events {
			if e.Machine == "" && e.Phase == engine.PhaseCommit && e.Unit == "machines" && e.At.After(verified.Add(3*time.Second)) && e.Done != 60 {
				t.Errorf("%d machines are counted as upgraded after that", e.Done)
			}
		}
	})
}

// Who looks whether agents are still there, since the plan has waited for its confirmation, waits for one that falls silent no longer than others do.
func TestASilentMachineIsAwaitedAsBriefAfterTheConfirmation(t *testing.T) {
	played(t, 60, func(t *testing.T, s *stage) {
		settings := largeFleet()
		settings.Yes, settings.Ask = false, true
		run := s.start(settings)
		run.asks(engine.QuestionPlan)
		time.Sleep(time.Minute) // virtual
		s.On(agenttest.Match{Kind: agenttest.Wait, Machine: "m20"}, agenttest.Hang)
		confirmed := time.Now()
		run.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		run.until("it commits", func(e engine.Event) bool { return e.Phase == engine.PhaseCommit })
		if took := time.Since(confirmed); took > 10*time.Second {
			t.Errorf("the commit has begun %s after the confirmation", took)
		}
		run.Stop()
		run.end()
	})
}

// Who looks again how one machine of a large fleet has ended gives it thirty seconds, not the time of the fleet.
func TestAnUnknownEndIsLookedForBriefly(t *testing.T) {
	played(t, 1000, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Abort, Machine: "m21"}, agenttest.Hang)
		s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m21"}, agenttest.Fail(engine.NewProblem("odd", "an odd answer", nil, "")))
		p, r := s.deploy(largeFleet())
		events := s.recordedEvents(r.Upgrade.ID)
		var verifying time.Time
		for _, e := range events {
			if verifying.IsZero() && e.Machine == "" && e.Phase == engine.PhaseVerify {
				verifying = e.At
			}
		}
		if took := verifying.Sub(ended(events, engine.PhaseCommit)); r.Outcome != engine.OutcomePartial || took < 2*time.Second || took > 40*time.Second {
			t.Errorf("it ended %s, and looked for %s: %v\n%s", r.Outcome, took, r.Problem, logOf(p))
		}
	})
}
