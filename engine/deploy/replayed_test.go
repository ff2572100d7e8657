package deploy_test

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

var image4 = strings.Replace(agenttest.Image3, "v3", "v4", 1)

// deploys makes deploys of versions 2.0.0, 3.0.0, …, as many as asked for, and gives what current.json was after each of them. A build makes the
// next version then.
func (s *stage) deploys(n int) (after []engine.Metadata, results []engine.Result) {
	s.t.Helper()
	for _, image := range []string{agenttest.Image2, agenttest.Image3, image4}[:n] {
		s.SetBuild(image)
		_, r := s.deploy(baking(0))
		if r.Outcome != engine.OutcomeSucceeded {
			s.t.Fatal(r.Problem)
		}
		after, results = append(after, *s.Current()), append(results, r)
		time.Sleep(time.Minute) // in virtual time
	}
	s.SetBuild([]string{agenttest.Image2, agenttest.Image3, image4}[n])
	return after, results
}

// isOlder expects a machine that was not taken back, since what the bucket says is older than what it ran.
func (s *stage) isOlder(m engine.MachineResult, version, why string) {
	s.t.Helper()
	if m.Outcome == engine.OutcomeTakenBack || !strings.Contains(m.Error, why) {
		s.t.Errorf("it is %s: %s", m.Outcome, m.Error)
	}
	if got := s.State(m.ID).Code.Version; got != version {
		s.t.Errorf("it runs %s, want %s", got, version)
	}
}

// Somebody has kept what current.json was two deploys ago, and writes it back: it is signed, and no machine is taken back to it.
func TestNoWayBackToAReplayedRecord(t *testing.T) {
	for name, replay := range map[string]func(s *stage, before []engine.Metadata) (why string){
		"the fleet's": func(s *stage, before []engine.Metadata) string {
			s.SetCurrent(before[0])
			return "the upgrade to 2.0.0 in current.json was signed at "
		},
		"for the machine": func(s *stage, before []engine.Metadata) string {
			md := before[1]
			md.MachineUpgrades = map[string]engine.HotUpgrade{"m00": *before[0].HotUpgrade}
			s.SetCurrent(md)
			return "the upgrade to 2.0.0 in current.json was signed at "
		},
		"that there is none": func(s *stage, before []engine.Metadata) string {
			md := before[1]
			md.HotUpgrade = nil
			s.keys.OwnCode(playedApp, &md, s.Storage.Now().Add(-time.Hour))
			s.SetCurrent(md)
			return "that current.json names no upgrade was signed at "
		},
		"none at all": func(s *stage, before []engine.Metadata) string {
			md := before[1]
			md.HotUpgrade = nil
			s.SetCurrent(md)
			return "that current.json names no upgrade is not signed"
		},
	} {
		t.Run(name, func(t *testing.T) {
			signedOn(t, 1, func(t *testing.T, s *stage) {
				before, _ := s.deploys(2)
				why := replay(s, before)
				found := *s.Current()
				p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00")
				if r.Outcome != engine.OutcomeUnhealthy {
					t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				s.isOlder(r.Machines[0], "4.0.0", why)
				for id, u := range s.Current().MachineUpgrades {
					if u.Signature != nil && u.SHA256 == before[0].HotUpgrade.SHA256 && found.MachineUpgrades[id].Signature == nil {
						t.Errorf("the old one was signed anew: %+v", u)
					}
				}
				s.nothingLeft()
			})
		})
	}
}

// A machine that cannot be taken back keeps no other from it.
func TestAReplayedRecordOfOneMachine(t *testing.T) {
	signedOn(t, 2, func(t *testing.T, s *stage) {
		before, _ := s.deploys(2)
		md := before[1]
		md.MachineUpgrades = map[string]engine.HotUpgrade{"m01": *before[0].HotUpgrade}
		s.SetCurrent(md)
		_, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00", "m01")
		if m := machineOf(r, "m00"); m.Outcome != engine.OutcomeTakenBack || s.State("m00").Code.Version != "3.0.0" {
			t.Errorf("m00 is %s, and runs %s", m.Outcome, s.State("m00").Code.Version)
		}
		s.isOlder(machineOf(r, "m01"), "4.0.0", "the upgrade to 2.0.0 in current.json was signed at ")
	})
}

// A release without the package tells only which version it ran.
func TestNoWayBackToAReplayedRecordWithoutThePackage(t *testing.T) {
	signedOn(t, 1, func(t *testing.T, s *stage) {
		s.SetHook("m00", "absent")
		before, _ := s.deploys(2)
		s.SetCurrent(before[0])
		settings := onSick(engine.OnSickBack, engine.StrategyAll)
		settings.Accept = []string{"no_startup_hook"}
		_, r := s.sick(settings, "m00")
		s.isOlder(r.Machines[0], "4.0.0", "current.json names 2.0.0 for machine m00, which ran 3.0.0")
	})
}

// The console that resumes a deploy reads from the bucket what ran before: before.json.
func TestAResumedDeployIsNotTakenBackToAReplayedRecord(t *testing.T) {
	signedOn(t, 2, func(t *testing.T, s *stage) {
		before, _ := s.deploys(2)
		settings := onSick(engine.OnSickBack, engine.StrategyCanary)
		settings.Strategy.Bake = 5 * time.Minute
		s.killedWhileItBakes(settings)
		ids, err := s.Storage.Upgrades(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.PutObject(agenttest.ResultKey(ids[0], "before.json"), s.encoded(before[0]))
		s.Crash("m00", 5)
		_, r := s.startOn(s.NewConsole("desk"), resuming(settings)).end()
		s.isOlder(machineOf(r, "m00"), "4.0.0", "the upgrade to 2.0.0 in current.json was signed at ")
	})
}

// encoded gives a current.json as its bytes.
func (s *stage) encoded(md engine.Metadata) []byte {
	s.t.Helper()
	now := *s.Current()
	s.SetCurrent(md)
	body := slices.Clone(s.Object("releases/" + agenttest.App + "-current.json"))
	s.SetCurrent(now)
	return body
}

// Somebody removes the records of the last deploys, so that an earlier one is the last.
func TestAnEarlierDeployIsNotResumed(t *testing.T) {
	signedOn(t, 2, func(t *testing.T, s *stage) {
		before, results := s.deploys(2)
		if err := s.Storage.DeleteUpgrade(t.Context(), results[1].Upgrade.ID); err != nil {
			t.Fatal(err)
		}
		s.SetCurrent(before[0])
		again := playedSettings()
		again.Resume = true
		p, r := s.deploy(again)
		if r.Outcome != engine.OutcomeFailed && r.Outcome != engine.OutcomeBlocked || r.Problem == nil || !strings.Contains(logOf(p)+r.Problem.Error(), "runs the upgrade of a later one") {
			t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		s.allRun("3.0.0 3.0.0")
		s.nothingLeft()
		named := playedSettings() // the operator says which one
		named.To = results[0].Upgrade.ID
		if _, r := s.deploy(named); r.Outcome != engine.OutcomeSucceeded {
			t.Errorf("%s: %v", r.Outcome, r.Problem)
		}
	})
}

// agentLines are what a VM tells of an agent that is there.
var agentLines = regexp.MustCompile(`agent_(id|dir)=.*\n`)

// What is on trial is not taken back to what ran before that, whether its agent is there or not.
func TestATrialIsNotTakenBackToAReplayedRecord(t *testing.T) {
	for name, ended := range map[string]bool{"agent there": false, "agent ended": true} {
		t.Run(name, func(t *testing.T) {
			signedOn(t, 1, func(t *testing.T, s *stage) {
				before, _ := s.deploys(2)
				s.tried()
				md := *s.Current()
				md.HotUpgrade = before[0].HotUpgrade
				s.SetCurrent(md)
				if ended {
					s.On(agenttest.Match{Kind: agenttest.AskTrial}, func(_ context.Context, _ agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
						a := carryOut()
						a.Out.Stdout = agentLines.ReplaceAllString(a.Out.Stdout, "")
						return a
					})
				}
				p, r := s.deploy(ending(engine.TrialTakenBack))
				if r.Outcome == engine.OutcomeSucceeded || !strings.Contains(r.Problem.What, "the upgrade to 2.0.0 in current.json was signed at ") {
					t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				s.allRun("4.0.0")
				md.HotUpgrade = before[1].HotUpgrade // what the machine ran
				s.SetCurrent(md)
				if _, r := s.deploy(ending(engine.TrialTakenBack)); machineOf(r, "m00").Outcome != engine.OutcomeTakenBack {
					t.Errorf("%s: %v", r.Outcome, r.Problem)
				}
				s.allRun("3.0.0")
			})
		})
	}
}

// A deploy to some machines does not vouch anew for what an old record names for the others.
func TestAReplayedRecordIsNotSignedForTheFleet(t *testing.T) {
	for name, replay := range map[string]func(md *engine.Metadata, old engine.HotUpgrade){
		"the fleet's": func(md *engine.Metadata, old engine.HotUpgrade) { md.HotUpgrade, md.MachineUpgrades = &old, nil },
		"for the machine": func(md *engine.Metadata, old engine.HotUpgrade) {
			md.MachineUpgrades = map[string]engine.HotUpgrade{"m01": old}
		},
	} {
		t.Run(name, func(t *testing.T) {
			signedOn(t, 2, func(t *testing.T, s *stage) {
				before, results := s.deploys(2)
				md, old := before[1], *before[0].HotUpgrade
				replay(&md, old)
				s.SetCurrent(md)
				some := playedSettings()
				some.To, some.Select.Machines = results[0].Upgrade.ID, []string{"m00"}
				if _, r := s.deploy(some); r.Outcome != engine.OutcomeSucceeded {
					t.Fatal(r.Problem)
				}
				now := s.Current()
				u, ok := now.UpgradeOf(engine.Machine{ID: "m01", Image: agenttest.Image1})
				if !ok || u.Signature.SignedAtMS != old.Signature.SignedAtMS {
					t.Errorf("m01 would load %+v of %v", u, slices.Sorted(maps.Keys(now.MachineUpgrades)))
				}
				u, _ = now.UpgradeOf(engine.Machine{ID: "m00", Image: agenttest.Image1})
				if u.Signature.SignedAtMS <= before[1].HotUpgrade.Signature.SignedAtMS {
					t.Errorf("m00 would not load %+v", u)
				}
			})
		})
	}
}

// An old entry of the same code, which was for good, does not make a trial that is resumed one for good.
func TestAReplayedRecordEndsNoTrial(t *testing.T) {
	signedOn(t, 2, func(t *testing.T, s *stage) {
		before, results := s.deploys(2)
		again := onTrial()
		again.To = results[0].Upgrade.ID
		if _, r := s.startOn(s.NewConsole("laptop"), again).end(); r.Trial == nil {
			t.Fatal(r.Problem)
		}
		md := *s.Current()
		md.HotUpgrade = before[0].HotUpgrade
		s.SetCurrent(md)
		s.Restart("m01", agenttest.Boot{})
		s.Load("m01", agenttest.ReleaseOf(agenttest.Image3))
		resumed := playedSettings()
		resumed.Resume = true
		p, r := s.deploy(resumed)
		if on := s.trial(); on == nil || on.Machines["m01"].ID != r.Upgrade.ID {
			t.Errorf("m01 is not on trial: %s, %v, %+v\n%s", r.Outcome, r.Problem, on, logOf(p))
		}
	})
}

// A deploy that was taken back is resumed, and is not well again: what current.json names since is newer than what the first one has found,
// and the machine goes back to it once more.
func TestAResumedDeployIsTakenBackTwice(t *testing.T) {
	for name, test := range map[string]struct {
		before int
		image  string
		runs   string
	}{"to an upgrade": {1, agenttest.Image3, "2.0.0"}, "to the image's code": {0, agenttest.Image2, "1.0.0"}} {
		t.Run(name, func(t *testing.T) {
			signedOn(t, 1, func(t *testing.T, s *stage) {
				s.deploys(test.before)
				s.SetBuild(test.image)
				settings := onSick(engine.OnSickBack, engine.StrategyAll)
				if p, r := s.sick(settings, "m00"); outcomes(r) != "m00 taken_back" {
					t.Fatalf("%s: %v\n%s", outcomes(r), r.Problem, logOf(p))
				}
				settings.Resume, settings.Accept = true, []string{"taken_back"}
				for range 2 {
					time.Sleep(time.Minute)
					p, r := s.sick(settings, "m00")
					wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back")
				}
				s.runs(test.runs, "m00")
				s.nothingLeft()
			})
		})
	}
}
