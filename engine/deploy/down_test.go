package deploy_test

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// A VM that restarts while machines are staged is waited for, and upgraded like the others.
func TestAVMThatBootsWhileItIsStagedIsWaitedFor(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.PollJob, Arg: "upload", Times: 1}, agenttest.Before(func() {
			s.Restart("m01", agenttest.Boot{Found: 12 * time.Second, Answers: 16 * time.Second})
		}))
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed")
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) > 0 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		s.nothingLeft()
	})
}

// A VM that should run but does not is not left out as a machine without a release: it is a blocker of the plan.
func TestAVMThatIsDownBlocksThePlan(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.PollJob, Arg: "upload", Times: 1}, agenttest.Before(func() { s.EndVM("m01") }))
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeBlocked, "m00 aborted, m02 aborted, m01 down")
		if f := p.Plan.Findings[0]; f.Name != "vm_down" || f.Severity != engine.SeverityBlock || len(f.Machines) != 1 || f.Machines[0] != "m01" || f.Remedy == "" {
			t.Errorf("the plan's first finding is %+v", f)
		}
		if !strings.Contains(r.Problem.What, "vm_down on machine m01") {
			t.Errorf("problem: %v", r.Problem)
		}
		s.nothingLeft()
	})
}

// If it is accepted by name, the others are upgraded: the outcome is partial, the record is not for the whole fleet, and a resumed
// deploy upgrades the machine once its VM is back.
func TestAVMThatIsDownAndAccepted(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.PollJob, Arg: "upload", Times: 1}, agenttest.Before(func() { s.EndVM("m01") }))
		settings := playedSettings()
		settings.Accept = []string{"vm_down"}
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomePartial, "m00 committed, m02 committed, m01 down")
		if r.Outcome.ExitCode() != 5 || r.Problem == nil || !strings.Contains(r.Problem.What, "m01") || r.Problem.Remedy == "" {
			t.Errorf("exit code %d, problem %v", r.Outcome.ExitCode(), r.Problem)
		}
		if fleet, single := s.recorded(); fleet != "" || single["m00"] != "2.0.0" || single["m02"] != "2.0.0" || len(single) != 2 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}

		s.Restart("m01", agenttest.Boot{})
		other := playedSettings()
		other.Resume, other.Meant = true, "01K"
		if _, refused := s.deploy(other); refused.Problem == nil || refused.Problem.Name != "another_deploy" {
			t.Errorf("another deploy than the one that was meant is resumed: %v", refused.Problem)
		}

		again := playedSettings()
		again.Resume, again.Meant = true, r.Upgrade.ID
		p, r = s.deploy(again)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 up_to_date, m02 up_to_date, m01 committed")
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) > 0 {
			t.Errorf("after the resumed deploy: fleet %q, machines %v", fleet, single)
		}
		s.nothingLeft()
	})
}

// A group that runs no release at all is left out, without a wait and without a finding.
func TestAGroupWithoutAReleaseIsLeftOut(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Add(engine.Machine{ID: "proxy", Region: "ams", ProcessGroup: "proxy"})
		s.EndVM("proxy")
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if len(p.Plan.Findings) > 0 || p.Machine("proxy").State != engine.MachineLeftOut {
			t.Errorf("findings %+v, proxy is %s", p.Plan.Findings, p.Machine("proxy").State)
		}
		if fleet, _ := s.recorded(); fleet != "2.0.0" {
			t.Errorf("the whole fleet runs %q", fleet)
		}
	})
}

// A machine of the release that was not selected and does not answer is part of the whole fleet.
func TestAnUnselectedMachineThatIsDownIsNotTheWholeFleet(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		s.EndVM("m01")
		settings := playedSettings()
		settings.Select.Machines = []string{"m00", "m02"}
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m02 committed")
		if fleet, single := s.recorded(); fleet != "" || len(single) != 2 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
	})
}

// Resuming a deploy that has succeeded changes nothing on machines that run it, and upgrades a machine that has come since.
func TestASucceededDeployIsResumed(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		s.Load("m01", agenttest.ReleaseOf(agenttest.Image1)) // it woke from a suspension
		again := playedSettings()
		again.Resume = true
		p, r = s.deploy(again)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 up_to_date, m01 committed")
		p, r = s.deploy(again)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 up_to_date, m01 up_to_date")
		s.nothingLeft()
	})
}
