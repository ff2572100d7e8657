package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// everyCall lists the calls that a deploy makes.
var everyCall = []agenttest.Kind{
	agenttest.Discover, agenttest.StorageEnv, agenttest.StorageConfig, agenttest.Inject, agenttest.LoadedCode,
	agenttest.Wait, agenttest.Arm, agenttest.Commit, agenttest.Finish, agenttest.StartJob, agenttest.PollJob,
	agenttest.RunCommand, agenttest.FollowCommand,
	agenttest.ListMachines, agenttest.CreateTemporary, agenttest.Destroy, agenttest.MayCreate, agenttest.Build,
	agenttest.TakeLease, agenttest.RenewLease, agenttest.ReleaseLease,
	agenttest.AcquireLock, agenttest.RenewLock, agenttest.ReleaseLock, agenttest.ReadMetadata, agenttest.WriteMetadata,
	agenttest.WriteResult, agenttest.PresignResult, agenttest.ListUpgrades, agenttest.PresignPut, agenttest.PresignGet, agenttest.PutTarball, agenttest.StatTarball, agenttest.DeleteTarball,
}

// everyFault lists what may happen to a call.
var everyFault = map[string]agenttest.Hook{
	"the request is lost":       agenttest.LoseRequest,
	"the answer is lost":        agenttest.LoseAnswer,
	"it hangs":                  agenttest.Hang,
	"it hangs after its effect": agenttest.HangAfter,
	"it fails":                  agenttest.Fail(errors.New("418 I'm a teapot")),
	"it is slow":                agenttest.Delay(20 * time.Second),
	"the VM restarts":           nil, // see hook
}

// onlyExecs are faults of what a machine prints.
var onlyExecs = map[string]agenttest.Hook{
	"the node is down":         agenttest.NodeDown,
	"nothing is printed":       agenttest.Silent,
	"the output is cut":        agenttest.Truncate(25),
	"something else is said":   agenttest.Say(agenttest.Output{Stdout: "hello\n"}),
	"another exit code":        agenttest.Say(agenttest.Output{Stderr: "sh: out of memory", ExitCode: 137}),
	"the machine is destroyed": nil, // see hook
}

// TestEveryFaultOfEveryCall breaks each call of a deploy in each way, the first time and for good. However the deploy ends, what it
// says is true.
func TestEveryFaultOfEveryCall(t *testing.T) {
	for _, kind := range everyCall {
		for name := range everyFault {
			faultCell(t, kind, name)
		}
		if kind.IsExec() {
			for name := range onlyExecs {
				faultCell(t, kind, name)
			}
		}
	}
}

func faultCell(t *testing.T, kind agenttest.Kind, fault string) {
	if strings.Contains(fault, "hangs") && (kind == agenttest.Build || kind == agenttest.CreateTemporary) {
		return // a build ends with the operator's patience, a launch with the client's: package fly's tests
	}
	for times, word := range map[int]string{1: "once", 0: "always"} {
		t.Run(string(kind)+": "+fault+" "+word, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &stage{World: agenttest.NewWorld(2), t: t}
				s.SetTiming(agenttest.Usual)
				s.On(agenttest.Match{Kind: kind, Times: times}, s.hook(fault))
				begun := time.Now()
				s.SetCommand(agenttest.Command{Prints: "1 migration\n", Takes: 2 * time.Second})
				settings := baking(10 * time.Second)
				settings.ReleaseCommand, settings.RunReleaseCommand = "bin/migrate", true
				d := s.start(settings)
				defer time.AfterFunc(time.Hour, d.Hurry).Stop()
				p, r := d.end()
				if took := time.Since(begun); took > 40*time.Minute {
					t.Errorf("it took %s", took)
				}
				s.isTrue(p, r)
			})
		})
	}
}

// hook gives the fault by its name.
func (s *stage) hook(name string) agenttest.Hook {
	if h := everyFault[name]; h != nil {
		return h
	}
	if h := onlyExecs[name]; h != nil {
		return h
	}
	return func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
		if strings.HasPrefix(c.Machine, "m") {
			if name == "the VM restarts" {
				s.Restart(c.Machine, agenttest.Boot{Found: time.Second, Answers: 3 * time.Second})
			} else {
				s.Remove(c.Machine)
			}
		}
		return carryOut()
	}
}

// isTrue checks what a deploy says of its end against what is there.
func (s *stage) isTrue(p *engine.Progress, r engine.Result) {
	s.t.Helper()
	fail := func(format string, args ...any) {
		s.t.Helper()
		s.t.Errorf(format+"\nit ended %s (%s): %v\n%s", append(args, r.Outcome, outcomes(r), r.Problem, logOf(p))...)
	}
	fleet, single := s.recorded()
	upgraded := 0
	for _, m := range r.Machines {
		st := s.State(m.ID)
		names := single[m.ID]
		if names == "" && st.ID != "" {
			names = fleet
		}
		runs := st.Code.Version
		switch {
		case m.Outcome.Upgraded():
			upgraded++
			if runs != "2.0.0" && st.ID != "" {
				fail("machine %s is said to run 2.0.0, and runs %q", m.ID, runs)
			}
			if names != "2.0.0" && st.ID != "" && r.Outcome == engine.OutcomeSucceeded {
				fail("machine %s is upgraded, and the record names %q for it", m.ID, names)
			}
		case slices.Contains([]engine.MachineOutcome{engine.OutcomeAborted, engine.OutcomeNotStarted, engine.OutcomeExpired, engine.OutcomeMachineFailed, engine.OutcomeDown}, m.Outcome):
			if runs == "2.0.0" {
				fail("machine %s is said to have ended %s, and runs 2.0.0", m.ID, m.Outcome)
			}
		}
		if names == "2.0.0" && runs == "1.0.0" && st.State == engine.StateStarted {
			fail("the record names 2.0.0 for machine %s, which runs %s", m.ID, runs)
		}
		if shown := p.Machine(m.ID).State.Outcome(p.Machine(m.ID).Report.UpToDate); shown != m.Outcome {
			fail("machine %s is shown as %s, its outcome is %s", m.ID, shown, m.Outcome)
		}
	}
	if r.Outcome == engine.OutcomeSucceeded && upgraded != len(r.Machines) {
		fail("succeeded on %d of %d machines", upgraded, len(r.Machines))
	}
	if r.Outcome != engine.OutcomeSucceeded && (r.Problem == nil || r.Problem.What == "") {
		fail("nothing says why")
	}
	if r.Problem != nil && r.Problem.Name == "crash" {
		fail("a crash")
	}
	s.leavesTruth(r, fail)
}

// leavesTruth checks what was left behind against what the result says about it: each lock, agent, lease and temporary machine is named, with when
// it ends and how to end it now.
func (s *stage) leavesTruth(r engine.Result, fail func(string, ...any)) {
	s.t.Helper()
	named := map[[2]string]bool{}
	for _, l := range r.Left {
		named[[2]string{l.What, l.Machine}] = true
		if l.EndsAt.IsZero() || l.EndNow == "" && l.What != engine.LeftAgent {
			fail("of what is left it does not say when or how it ends: %+v", l)
		}
	}
	if l, err := s.Storage.Current(s.t.Context()); err == nil && !named[[2]string{engine.LeftLock}] {
		fail("the lock is still held, and nothing says so: %+v", l)
	}
	for _, id := range s.Temporaries() {
		if !named[[2]string{engine.LeftTemporary, id}] {
			fail("temporary machine %s is left, and nothing says so", id)
		}
	}
	for _, m := range r.Machines {
		if l := s.Leased(m.ID); strings.HasPrefix(l.Description, "flydeploy ") && !named[[2]string{engine.LeftLease, m.ID}] {
			fail("the lease of machine %s is still held, and nothing says so: %+v", m.ID, l)
		}
		if a := s.State(m.ID).Agent; a != "" && !named[[2]string{engine.LeftAgent, m.ID}] {
			fail("machine %s still has its agent, and nothing says so", m.ID)
		}
	}
}
