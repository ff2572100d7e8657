package deploy_test

import (
	"slices"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

// coldOnly makes a world whose new release differs in nothing that can be applied hot.
func coldOnly(b *agenttest.Behaviour) {
	b.Counts, b.Modules, b.Processes = agent.Counts{}, nil, nil
	b.Findings = []agent.Finding{
		{Name: "config_changed", Severity: "block", Subject: "runtime.exs", Detail: "differs in :shop, :color, and is not applied before the next cold deploy"},
		{Name: engine.NothingHot, Severity: "refuse", Subject: "the release", Detail: "none of it can be applied to a running VM: deploy cold"},
	}
}

func TestAReleaseOfWhichNothingAppliesHotIsNotUpToDate(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		blocked := func(settings engine.Settings, version string) {
			t.Helper()
			p, r := s.deploy(settings)
			wants(t, p, r, engine.OutcomeBlocked, "m00 aborted, m01 aborted")
			if r.Outcome.ExitCode() != 3 || p.Plan.Verdict != (engine.Verdict{Word: engine.VerdictCold, Text: "cold: nothing of it can be applied: deploy cold"}) {
				t.Errorf("exit code %d: %+v", r.Outcome.ExitCode(), p.Plan.Verdict)
			}
			for _, m := range p.Plan.Machines {
				if m.UpToDate || s.State(m.Machine.ID).Code.Version != version {
					t.Errorf("machine %s: up to date %t, it runs %s", m.Machine.ID, m.UpToDate, s.State(m.Machine.ID).Code.Version)
				}
			}
			s.nothingLeft()
		}
		accepting := playedSettings()
		accepting.Accept = []string{"config_changed", engine.NothingHot}
		s.Behave("", coldOnly)
		blocked(playedSettings(), "1.0.0")
		blocked(accepting, "1.0.0") // a refusal cannot be accepted

		// The same code as the one that runs, with another configuration.
		s.Behave("", func(b *agenttest.Behaviour) { b.Findings = nil })
		if p, r := s.deploy(playedSettings()); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("%v\n%s", r.Problem, logOf(p))
		}
		s.Behave("", coldOnly)
		blocked(playedSettings(), "2.0.0")
	})
}

func TestDriftIsAcceptedByName(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) {
			b.Findings = []agent.Finding{{Name: "drift", Severity: "block", Subject: "Counter.Tally", Detail: "runs other code than its file holds", Processes: 2}}
		})
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeBlocked, "m00 aborted, m01 aborted")
		if p.Plan.Verdict.Text != "not now: drift (2 processes) on machine m01" {
			t.Errorf("the verdict is %q", p.Plan.Verdict.Text)
		}
		accepting := playedSettings()
		accepting.Accept = []string{"drift"}
		p, r = s.deploy(accepting)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
	})
}

// What the plan says is what the record keeps, with the code that machines ran before.
func TestThePlanSaysFromWhereToWhere(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		first := playedSettings()
		first.GitRevision, first.Select.Machines = "4f2c91ab0712345", []string{"m00", "m01"}
		p, r := s.deploy(first)
		if r.Outcome != engine.OutcomeSucceeded || p.Plan.From() != "1.0.0" || p.Plan.Upgrade.Named() != "2.0.0 (4f2c91ab07)" {
			t.Fatalf("from %q to %q: %v", p.Plan.From(), p.Plan.Upgrade.Named(), r.Problem)
		}
		if f := p.Plan.Modules[1].Functions; f == nil || !slices.Equal(f.Changed, []string{"plus/2"}) {
			t.Errorf("the functions of %+v", p.Plan.Modules[1])
		}
		second := playedSettings()
		second.GitRevision = "0123abcd-dirty"
		s.SetBuild(agenttest.Image3)
		p, r = s.deploy(second)
		if r.Outcome != engine.OutcomeSucceeded || p.Plan.From() != "2.0.0 (4f2c91ab07) on 2 machines, 1.0.0 on 1 machine" {
			t.Fatalf("from %q: %v", p.Plan.From(), r.Problem)
		}
		events := s.recordedEvents(r.Upgrade.ID)
		i := slices.IndexFunc(events, func(e engine.Event) bool { return e.Plan != nil })
		if i < 0 || events[i].Plan.Verdict != p.Plan.Verdict || events[i].Plan.From() != p.Plan.From() || p.Plan.Verdict.Word != engine.VerdictHot {
			t.Errorf("the record of %d events has the plan at %d, the verdict was %+v", len(events), i, p.Plan.Verdict)
		}
		if md := s.Current(); md.HotUpgrade == nil || md.HotUpgrade.GitRevision != "0123abcd-dirty" {
			t.Errorf("current.json: %+v", md.HotUpgrade)
		}
		// What is deployed again has the revision of its code.
		again := playedSettings()
		again.GitRevision, again.To = "ffff", r.Upgrade.ID
		if _, r = s.deploy(again); r.Upgrade.GitRevision != "0123abcd-dirty" {
			t.Errorf("deployed again: %q", r.Upgrade.GitRevision)
		}
	})
}
