package deploy_test

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/deploy"
	"flydeploy/engine/record"
)

// coldStage is a fleet whose plan has a verdict, and to whose machines a cold deploy gives the image one after the other.
type coldStage struct {
	*stage
	calls   []string
	failsAt string // the machine at which it fails, "" for none
}

// need gives each machine's plan a finding.
func (s *coldStage) need(name, severity string) {
	for _, m := range []string{"m00", "m01"} {
		s.Behave(m, func(b *agenttest.Behaviour) {
			b.Findings = append(b.Findings, agent.Finding{Name: name, Severity: severity, Subject: "Counter.Application", Detail: "start/2 starts Counter.Best"})
		})
	}
}

func (s *coldStage) cold(ctx context.Context, image string, log func(string)) error {
	s.calls = append(s.calls, image)
	for _, id := range []string{"m00", "m01"} {
		if a := s.State(id).Agent; a != "" {
			s.t.Errorf("machine %s still has its agent", id)
		}
		if id == s.failsAt {
			return errors.New("machine " + id + " is not healthy")
		}
		log("Updating " + id)
		s.Replace(id, image)
	}
	return nil
}

func (s *coldStage) run(settings engine.Settings) *run {
	s.t.Helper()
	ports := portsOf(s.Console)
	ports.Cold, ports.Hooks = s.cold, s.hooks
	return &run{t: s.t, Deployment: deploy.Start(s.t.Context(), settings, ports), p: engine.NewProgress()}
}

func playedCold(t *testing.T, test func(*testing.T, *coldStage)) {
	t.Helper()
	played(t, 2, func(t *testing.T, s *stage) { test(t, &coldStage{stage: s}) })
}

func orCold(s engine.Settings) engine.Settings {
	s.OrCold = true
	return s
}

func TestAColdVerdictGoesOutCold(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		s.SetCurrent(engine.Metadata{ImageRef: agenttest.Image1, HotUpgrade: &engine.HotUpgrade{Version: "1.0.1", ID: "01A", SHA256: "ab", Size: 3}})
		s.need("children_changed", "block")
		p, r := s.run(orCold(playedSettings())).end()
		if r.Outcome != engine.OutcomeSucceeded || !r.Cold || r.Problem != nil {
			t.Fatalf("outcome %s, cold %t: %v\n%s", r.Outcome, r.Cold, r.Problem, logOf(p))
		}
		if len(s.calls) != 1 || s.calls[0] != r.Upgrade.SourceImage {
			t.Errorf("cold deploys of %v, the plan is of %s", s.calls, r.Upgrade.SourceImage)
		}
		for _, m := range r.Machines {
			if m.Outcome != engine.OutcomeCold || p.Machine(m.ID).State != engine.MachineCold || s.State(m.ID).Image != r.Upgrade.SourceImage {
				t.Errorf("machine %s: %s, shown as %s, with %s", m.ID, m.Outcome, p.Machine(m.ID).State, s.State(m.ID).Image)
			}
		}
		if strings.Count(logOf(p), "Updating m0") != 2 || p.Fleet[engine.PhasePlan].Status != engine.StatusDone || p.Fleet[engine.PhaseCommit].Status != engine.StatusDone {
			t.Errorf("the stream is\n%s", logOf(p))
		}
		if md := s.Current(); md.ImageRef != r.Upgrade.SourceImage || md.NamesUpgrades() {
			t.Errorf("the record is %+v", md)
		}
		past, err := record.History(t.Context(), s.Storage, 1)
		if err != nil || !past[0].Cold || past[0].Outcome != engine.OutcomeSucceeded || past[0].Machines != 2 || past[0].Upgraded != 2 {
			t.Errorf("its history is %+v, %v", past, err)
		}
		s.nothingLeft()
	})
}

// Without the option, and where it is not needed, or no cure, nothing goes out cold.
func TestWhatDoesNotGoOutCold(t *testing.T) {
	for name, try := range map[string]struct {
		finding, severity string
		change            func(*engine.Settings)
		outcome           engine.Outcome
	}{
		"without the option":      {"children_changed", "block", func(s *engine.Settings) { s.OrCold = false }, engine.OutcomeBlocked},
		"a plan alone":            {"children_changed", "block", func(s *engine.Settings) { s.DryRun = true }, engine.OutcomeBlocked},
		"what can go hot":         {"init_changed", "warn", func(*engine.Settings) {}, engine.OutcomeSucceeded},
		"what passes":             {"low_disk", "block", func(*engine.Settings) {}, engine.OutcomeBlocked},
		"what is accepted by all": {"children_changed", "block", func(s *engine.Settings) { s.Accept = []string{"children_changed"} }, engine.OutcomeSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			playedCold(t, func(t *testing.T, s *coldStage) {
				s.need(try.finding, try.severity)
				settings := orCold(playedSettings())
				try.change(&settings)
				p, r := s.run(settings).end()
				if r.Outcome != try.outcome || r.Cold || len(s.calls) > 0 {
					t.Errorf("outcome %s, cold %v: %v\n%s", r.Outcome, s.calls, r.Problem, logOf(p))
				}
				s.nothingLeft()
			})
		})
	}
}

// What a cold deploy does not cure is accepted by name, as for a hot one: by --accept, or with the answer.
func TestWhatAColdDeployDoesNotCureIsAcceptedByName(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		asFirst := func() {
			s.Replace("m00", agenttest.Image1)
			s.Replace("m01", agenttest.Image1)
			s.calls = nil
		}
		_, first := s.run(playedSettings()).end()
		md := engine.Metadata{ImageRef: agenttest.Image1}
		md.AddTakenBack(engine.TakenBack{ID: first.Upgrade.ID, Version: "2.0.0", SHA256: first.Upgrade.SHA256, Why: "it crashed"})
		s.SetCurrent(md)
		s.need("children_changed", "block")
		s.need("low_disk", "block")
		for _, try := range []struct {
			ask    bool
			accept []string
			blocks string // names that the problem has, "" where it goes out cold
		}{
			{false, nil, "taken_back low_disk"},
			{true, nil, "taken_back low_disk"},
			{false, []string{"taken_back"}, "low_disk"},
			{true, []string{"low_disk"}, "taken_back"},
			{false, []string{"taken_back", "low_disk"}, ""},
			{true, []string{"taken_back", "low_disk"}, ""},
		} {
			asFirst()
			s.SetCurrent(md)
			settings := orCold(playedSettings())
			answer := engine.Answer{To: engine.QuestionPlan, Way: engine.WayCold}
			if try.ask {
				settings, answer.Accept = asking(), try.accept
			} else {
				settings.Accept = try.accept
			}
			d := s.run(settings)
			if try.ask {
				d.asks(engine.QuestionPlan)
				d.Answer(answer)
			}
			p, r := d.end()
			if goes := try.blocks == ""; r.Cold != goes || (len(s.calls) == 1) != goes || (r.Outcome == engine.OutcomeSucceeded) != goes {
				t.Errorf("%+v: outcome %s, cold %v: %v\n%s", try, r.Outcome, s.calls, r.Problem, logOf(p))
			}
			if p.Plan.Verdict.Word != engine.VerdictCold || !p.Plan.MayGoCold {
				t.Errorf("%+v: the verdict is %s, may go cold %t", try, p.Plan.Verdict.Text, p.Plan.MayGoCold)
			}
			for _, name := range strings.Fields(try.blocks) {
				if r.Outcome != engine.OutcomeBlocked || !strings.Contains(r.Problem.What, name) || strings.Contains(r.Problem.What, "children_changed") {
					t.Errorf("%+v: outcome %s: %v", try, r.Outcome, r.Problem)
				}
			}
			s.nothingLeft()
		}
	})
}

// Whoever sees the plan may choose it there.
func TestAnOperatorChoosesTheColdWay(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		s.need("children_changed", "block")
		d := s.run(asking())
		d.asks(engine.QuestionPlan)
		d.Answer(engine.Answer{To: engine.QuestionPlan, Way: engine.WayCold})
		if p, r := d.end(); r.Outcome != engine.OutcomeSucceeded || !r.Cold {
			t.Errorf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
	})
}

// A resumed deploy is of the machines that it was of before: a cold deploy would restart the others as well.
func TestAResumedDeployOfSomeMachinesDoesNotGoOutCold(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		s.Behave("m00", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
		some := playedSettings()
		some.Select.Machines = []string{"m00"}
		if _, r := s.run(some).end(); len(r.Machines) != 1 || r.Machines[0].Outcome.Upgraded() {
			t.Fatalf("outcome %s (%s): %v", r.Outcome, outcomes(r), r.Problem)
		}
		s.need("children_changed", "block")
		for _, settings := range []engine.Settings{orCold(playedSettings()), asking()} {
			settings.Resume = true
			d := s.run(settings)
			if settings.Ask {
				d.asks(engine.QuestionPlan)
				d.Answer(engine.Answer{To: engine.QuestionPlan, Way: engine.WayCold})
			}
			p, r := d.end()
			if r.Cold || len(s.calls) > 0 || p.Plan.MayGoCold || len(p.Plan.Machines) != 1 || s.State("m01").Image != agenttest.Image1 {
				t.Errorf("outcome %s, cold %v, machine m01 has %s: %v\n%s", r.Outcome, s.calls, s.State("m01").Image, r.Problem, logOf(p))
			}
		}
		s.nothingLeft()
	})
}

// Of a plan that can go hot it is no answer.
func TestTheColdWayIsNoAnswerToAPlanThatCanGoHot(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		d := s.run(asking())
		d.asks(engine.QuestionPlan)
		d.Answer(engine.Answer{To: engine.QuestionPlan, Way: engine.WayCold})
		if _, r := d.end(); r.Outcome != engine.OutcomeCancelled || len(s.calls) > 0 {
			t.Errorf("outcome %s: %v", r.Outcome, r.Problem)
		}
	})
}

// The operator's commands hear of it as of any commit, and the first may stop it.
func TestHooksAreToldOfAColdDeploy(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		s.need("children_changed", "block")
		h := &hooks{}
		s.hooks = h
		if _, r := s.run(orCold(playedSettings())).end(); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
		}
		if got := h.moments(); got != "before_build planned before_commit after_commit ended" {
			t.Errorf("told: %s", got)
		}
		h.run = failsAt(engine.MomentBeforeCommit)
		s.calls = nil
		s.Replace("m00", agenttest.Image1)
		s.Replace("m01", agenttest.Image1)
		if p, r := s.run(orCold(playedSettings())).end(); r.Outcome != engine.OutcomeFailed || len(s.calls) > 0 {
			t.Errorf("outcome %s, calls %v: %v\n%s", r.Outcome, s.calls, r.Problem, logOf(p))
		}
		s.nothingLeft()
	})
}

// A cold deploy restarts machines also where nothing is staged, because all of them run the code already.
func TestTheCommandBeforeACommitMayStopAColdDeployOfWhatRunsAlready(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		first, second := playedSettings(), orCold(playedSettings())
		first.ReleaseCommand, second.ReleaseCommand = "bin/migrate", "bin/migrate all"
		if _, r := s.run(first).end(); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
		}
		h := &hooks{run: failsAt(engine.MomentBeforeCommit)}
		s.hooks = h
		p, r := s.run(second).end()
		if p.Plan.Verdict.Word != engine.VerdictCold || !r.Cold || r.Outcome != engine.OutcomeFailed || r.Problem.Name != "hook_failed" || len(s.calls) > 0 {
			t.Errorf("outcome %s, calls %v, told %s: %v\n%s", r.Outcome, s.calls, h.moments(), r.Problem, logOf(p))
		}
		s.nothingLeft()
	})
}

// What fails half-way is told machine by machine, and the record stays: it is about the image of those that are left.
func TestAColdDeployThatFailsHalfWay(t *testing.T) {
	for name, try := range map[string]struct {
		at      string
		outcome engine.Outcome
		first   engine.MachineOutcome
	}{
		"at the first":  {"m00", engine.OutcomeFailed, engine.OutcomeNotStarted},
		"at the second": {"m01", engine.OutcomePartial, engine.OutcomeCold},
	} {
		t.Run(name, func(t *testing.T) {
			playedCold(t, func(t *testing.T, s *coldStage) {
				before := engine.Metadata{ImageRef: agenttest.Image1, HotUpgrade: &engine.HotUpgrade{Version: "1.0.1", ID: "01A", SHA256: "ab", Size: 3}}
				s.SetCurrent(before)
				s.need("children_changed", "block")
				s.failsAt = try.at
				p, r := s.run(orCold(playedSettings())).end()
				if r.Outcome != try.outcome || !r.Cold || r.Problem == nil || !strings.Contains(r.Problem.What, "not healthy") {
					t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				if r.Machines[0].Outcome != try.first || r.Machines[1].Outcome != engine.OutcomeNotStarted {
					t.Errorf("machines are %s", outcomes(r))
				}
				if md := s.Current(); md.ImageRef != before.ImageRef || md.HotUpgrade == nil {
					t.Errorf("the record is %+v", md)
				}
				s.nothingLeft()
			})
		})
	}
}

// However fly deploy has ended: once all machines have the image, the record is about it.
func TestARecordFollowsAColdDeployThatEndsLate(t *testing.T) {
	for name, try := range map[string]struct {
		late    func(*stage, *deploy.Deployment) error // after the last machine
		outcome engine.Outcome
		problem string
	}{
		"by an error": {func(*stage, *deploy.Deployment) error {
			return engine.NewProblem("cold_failed", "the DNS check failed", nil, "")
		}, engine.OutcomeFailed, "cold_failed"},
		"by a stop": {func(_ *stage, d *deploy.Deployment) error { d.Stop(); return nil }, engine.OutcomeSucceeded, ""},
		"by a stop that interrupts it": {func(_ *stage, d *deploy.Deployment) error { d.Stop(); return errors.New("signal: interrupt") },
			engine.OutcomeSucceeded, ""},
		"under another's lock": {func(s *stage, _ *deploy.Deployment) error { s.takeAway(); time.Sleep(5 * time.Second); return nil },
			engine.OutcomeFailed, "lock_lost"},
	} {
		t.Run(name, func(t *testing.T) {
			playedCold(t, func(t *testing.T, s *coldStage) {
				s.SetCurrent(engine.Metadata{ImageRef: agenttest.Image1, HotUpgrade: &engine.HotUpgrade{Version: "1.0.1", ID: "01A", SHA256: "ab", Size: 3}})
				s.need("children_changed", "block")
				ports := portsOf(s.Console)
				var d *deploy.Deployment
				ports.Cold = func(ctx context.Context, image string, log func(string)) error {
					return cmp.Or(s.cold(ctx, image, log), try.late(s.stage, d))
				}
				d = deploy.Start(t.Context(), orCold(playedSettings()), ports)
				r := d.Result()
				if r.Outcome != try.outcome || (r.Problem == nil) != (try.problem == "") || outcomes(r) != "m00 cold, m01 cold" {
					t.Errorf("outcome %s (%s): %v", r.Outcome, outcomes(r), r.Problem)
				}
				if r.Problem != nil && r.Problem.Name != try.problem {
					t.Errorf("its problem is %s", r.Problem.Name)
				}
				if md := s.Current(); (md.ImageRef == r.Upgrade.SourceImage && !md.NamesUpgrades()) != (try.problem != "lock_lost") {
					t.Errorf("the record is of %s, with an upgrade %t", md.ImageRef, md.NamesUpgrades())
				}
			})
		})
	}
}

// A strategy such as bluegreen replaces machines: others of the same process group have the image.
func TestAColdDeployThatReplacesMachines(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		s.need("children_changed", "block")
		ports := portsOf(s.Console)
		ports.Cold = func(_ context.Context, image string, _ func(string)) error {
			old := s.State("m00")
			s.Remove("m00")
			s.Add(engine.Machine{ID: "m77", Image: image, ProcessGroup: old.ProcessGroup})
			s.Replace("m01", image)
			return nil
		}
		d := &run{t: t, Deployment: deploy.Start(t.Context(), orCold(playedSettings()), ports), p: engine.NewProgress()}
		if p, r := d.end(); r.Outcome != engine.OutcomeSucceeded || r.Machines[0].Outcome != engine.OutcomeCold {
			t.Errorf("outcome %s (%s): %v\n%s", r.Outcome, outcomes(r), r.Problem, logOf(p))
		}
	})
}

// overtaken are commands of whose last, before the commit, somebody takes the lock away.
func (s *stage) overtaken() *hooks {
	return &hooks{run: func(_ context.Context, m engine.Moment) error {
		if m == engine.MomentBeforeCommit {
			time.Sleep(2 * time.Second) // the lock was renewed a while ago
			s.takeAway()
		}
		return nil
	}}
}

func TestAColdDeployUnderALostLockDoesNotStart(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		s.need("children_changed", "block")
		s.hooks = s.overtaken()
		if p, r := s.run(orCold(playedSettings())).end(); r.Problem == nil || r.Problem.Name != "lock_lost" || len(s.calls) > 0 {
			t.Errorf("outcome %s, calls %v: %v\n%s", r.Outcome, s.calls, r.Problem, logOf(p))
		}
	})
}

// Without a temporary machine no agent may be known, so that nothing can be staged: the image goes out cold all the same, and the plan says why.
func TestAnImageWithoutAnAgentGoesOutCold(t *testing.T) {
	for name, test := range map[string]struct {
		orCold  bool
		before  func(*coldStage)
		outcome engine.Outcome
		problem string
	}{
		"told to":     {orCold: true, outcome: engine.OutcomeSucceeded},
		"not told to": {outcome: engine.OutcomeFailed, problem: "no_agent"},
		"taken back before": {orCold: true, outcome: engine.OutcomeBlocked, problem: "blocked", before: func(s *coldStage) {
			_, first := s.run(fromRegistry()).end()
			md := engine.Metadata{ImageRef: agenttest.Image1}
			md.AddTakenBack(engine.TakenBack{ID: "01A", Version: "2.0.0", SHA256: first.Upgrade.SHA256, Why: "it crashed"})
			s.SetCurrent(md)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			playedCold(t, func(t *testing.T, s *coldStage) {
				if test.before != nil {
					test.before(s)
				}
				settings := fromRegistry()
				settings.OrCold = test.orCold
				p, r := s.run(settings).end()
				if r.Outcome != test.outcome || r.Cold != (test.problem == "") {
					t.Fatalf("%s, cold %t: %v\n%s", r.Outcome, r.Cold, r.Problem, logOf(p))
				}
				if test.problem != "" {
					wantNamed(t, r.Problem, test.problem)
					if len(s.calls) > 0 {
						t.Errorf("cold deploys of %v", s.calls)
					}
					s.nothingLeft()
					return
				}
				if len(s.calls) != 1 || s.calls[0] != r.Upgrade.SourceImage || !strings.Contains(s.calls[0], "@sha256:") {
					t.Errorf("cold deploys of %v, the plan is of %s", s.calls, r.Upgrade.SourceImage)
				}
				if p.Plan == nil || p.Plan.Verdict.Text != "cold: no_agent" || !strings.Contains(p.Plan.String(), "no agent for OTP 25 and Elixir 1.14.0 is known") {
					t.Errorf("the plan is\n%s", p.Plan)
				}
				for _, m := range r.Machines {
					if m.Outcome != engine.OutcomeCold {
						t.Errorf("machine %s: %s", m.ID, m.Outcome)
					}
				}
				s.nothingLeft()
			})
		})
	}
}
