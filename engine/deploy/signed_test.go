package deploy_test

import (
	"context"
	"encoding/json"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/record"
	"flydeploy/engine/sign"
)

// signedOn runs a test on a fleet in memory, from a console with a key.
func signedOn(t *testing.T, machines int, test func(*testing.T, *stage)) {
	t.Helper()
	played(t, machines, func(t *testing.T, s *stage) {
		s.keys = newRing(t)
		test(t, s)
	})
}

func newRing(t *testing.T, trusted ...sign.PublicKey) *sign.Ring {
	t.Helper()
	key, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return sign.NewRing(&key, trusted)
}

var playedApp = sign.App{Fly: agenttest.App, OTP: agenttest.App}

// isSigned expects an entry of current.json that a machine may load, signed for it alone, or for all ("").
func (s *stage) isSigned(u *engine.HotUpgrade, machine string) {
	s.t.Helper()
	if u == nil || u.Signature == nil || u.Signature.Machine != machine {
		s.t.Fatalf("it is not signed for machine %q: %+v", machine, u)
	}
	if err := s.keys.CheckUpgrade(playedApp, *u, agenttest.Image1, machine); err != nil {
		s.t.Error(err)
	}
}

func TestWhatIsRecordedIsSigned(t *testing.T) {
	signedOn(t, 2, func(t *testing.T, s *stage) {
		only := playedSettings()
		only.Select.Machines = []string{"m01"}
		_, first := s.deploy(only)
		md := s.Current()
		u := md.MachineUpgrades["m01"]
		s.isSigned(&u, "m01")
		if code := md.ImageCode; code == nil || u.Signature.ImageCode != code.Fingerprint {
			t.Errorf("signed for the code %q of the image, which is %+v", u.Signature.ImageCode, code)
		}

		// The same code again makes the fleet whole; the new entry is not older than what m01 has run.
		rest := playedSettings()
		rest.To = first.Upgrade.ID
		_, second := s.deploy(rest)
		if second.Outcome != engine.OutcomeSucceeded {
			t.Fatal(second.Problem)
		}
		md = s.Current()
		s.isSigned(md.HotUpgrade, "")
		if md.HotUpgrade.Signature.SignedAtMS <= u.Signature.SignedAtMS || len(md.MachineUpgrades) > 0 {
			t.Errorf("recorded: %+v", md)
		}
	})
}

// A machine that has got the fleet's version again, in a later deploy, must not find an entry that is older than that.
func TestTheFleetsEntryIsSignedAgain(t *testing.T) {
	signedOn(t, 2, func(t *testing.T, s *stage) {
		_, first := s.deploy(playedSettings())
		before := *s.Current().HotUpgrade
		s.Load("m00", agenttest.ReleaseOf(agenttest.Image1)) // it has booted without it
		only := playedSettings()
		only.To, only.Select.Machines = first.Upgrade.ID, []string{"m00"}
		p, r := s.deploy(only)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		md := s.Current()
		s.isSigned(md.HotUpgrade, "")
		if md.HotUpgrade.Signature.SignedAtMS <= before.Signature.SignedAtMS {
			t.Errorf("recorded: %+v", md)
		}
		// Whom this deploy has not asked, it vouches for no more than before.
		if u := md.MachineUpgrades["m01"]; len(md.MachineUpgrades) != 1 || u.Signature.SignedAtMS != before.Signature.SignedAtMS {
			t.Errorf("recorded for machines: %+v", md.MachineUpgrades)
		}
	})
}

// rewrite alters deploy.json of a deploy, as whoever has the bucket's keys can.
func (s *stage) rewrite(from, to string, alter func(*record.Record)) {
	s.t.Helper()
	r, err := record.Read(s.t.Context(), s.Storage, from)
	if err != nil {
		s.t.Fatal(err)
	}
	alter(&r)
	body, err := json.Marshal(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.PutObject(agenttest.ResultKey(to, "deploy.json"), body)
}

// Nothing is built or run of a record that somebody else has written, neither by --to nor by --resume.
func TestTamperedRecordsAreNotDeployedAgain(t *testing.T) {
	const forged = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ" // the newest of all
	for what, alter := range map[string]func(*record.Record){
		"another tarball":     func(r *record.Record) { r.Upgrade.SHA256 = strings.Repeat("0", 64) },
		"another image":       func(r *record.Record) { r.Upgrade.SourceImage = "docker.io/somebody/elses:1" },
		"no tarball":          func(r *record.Record) { r.Upgrade.TarballURL, r.Upgrade.SHA256 = "", "" },
		"another agent":       func(r *record.Record) { r.Upgrade.Agent.SHA256 = strings.Repeat("0", 64) },
		"not signed":          func(r *record.Record) { r.Upgrade.Signature = nil },
		"copied to another's": func(*record.Record) {},
		"other machines":      func(r *record.Record) { r.Select.Machines = []string{"m00"} },
		"no watch":            func(r *record.Record) { r.Strategy.Bake++ },
	} {
		for _, resume := range []bool{true, false} {
			t.Run(what, func(t *testing.T) {
				signedOn(t, 1, func(t *testing.T, s *stage) {
					_, first := s.deploy(playedSettings())
					at := first.Upgrade.ID
					if what == "copied to another's" {
						at = forged
					}
					s.rewrite(first.Upgrade.ID, at, alter)
					s.Load("m00", agenttest.ReleaseOf(agenttest.Image1))
					again := playedSettings()
					if again.Resume = resume; !resume {
						again.To = at
					}
					p, r := s.deploy(again)
					if r.Outcome != engine.OutcomeFailed || p.Fleet[engine.PhaseBuild].Status != "" || s.State("m00").Code.Version != "1.0.0" {
						t.Errorf("it ended %s, and the machine runs %s\n%s", r.Outcome, s.State("m00").Code.Version, logOf(p))
					}
					if what != "no tarball" || resume { // --to says that there is none
						wantNamed(t, r.Problem, "wrong_signature")
					}
					s.nothingLeft()
				})
			})
		}
	}
}

// The bytes that lie in the bucket are others, under the size and the sha256 of before: the machines, which have the signed sha256 from the
// record, take neither.
func TestTamperedFilesAreNotTaken(t *testing.T) {
	for _, name := range []string{"tarball", "agent"} {
		t.Run(name, func(t *testing.T) {
			signedOn(t, 1, func(t *testing.T, s *stage) {
				_, first := s.deploy(playedSettings())
				url := map[string]string{"tarball": first.Upgrade.TarballURL, "agent": first.Upgrade.Agent.URL}[name]
				s.PutObject("releases/"+path.Base(url), []byte("somebody else's"))
				s.Load("m00", agenttest.ReleaseOf(agenttest.Image1))
				again := playedSettings()
				again.To = first.Upgrade.ID
				p, r := s.deploy(again)
				compiled := name == "agent" && r.Outcome == engine.OutcomeSucceeded && r.Upgrade.Agent.URL != first.Upgrade.Agent.URL
				if !compiled && (r.Outcome != engine.OutcomeFailed || s.State("m00").Code.Version != "1.0.0") {
					t.Errorf("it ended %s, and the machine runs %s: %v\n%s", r.Outcome, s.State("m00").Code.Version, r.Problem, logOf(p))
				}
				s.nothingLeft()
			})
		})
	}
}

func TestRecordsOfAKeyOfBeforeAreTrustedIfItIsNamed(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		before, err := sign.Generate()
		if err != nil {
			t.Fatal(err)
		}
		s.keys = sign.NewRing(&before, nil)
		_, first := s.deploy(playedSettings())
		again := playedSettings()
		again.To = first.Upgrade.ID
		s.keys = newRing(t)
		_, r := s.deploy(again)
		wantNamed(t, r.Problem, "wrong_signature")
		s.keys = newRing(t, before.Public())
		if _, r = s.deploy(again); r.Outcome != engine.OutcomeSucceeded {
			t.Error(r.Problem)
		}
	})
}

// What is not well is not taken back to what somebody else has put into current.json; what is taken back is signed anew, since the
// machine has run what is newer.
func TestTakingBackChecksAndSigns(t *testing.T) {
	for name, forged := range map[string]bool{"recorded by us": false, "forged": true} {
		t.Run(name, func(t *testing.T) {
			signedOn(t, 1, func(t *testing.T, s *stage) {
				if _, r := s.deploy(baking(0)); r.Outcome != engine.OutcomeSucceeded {
					t.Fatal(r.Problem)
				}
				was := *s.Current()
				if forged {
					evil := *was.HotUpgrade
					evil.SHA256 = strings.Repeat("0", 64)
					was.HotUpgrade = &evil
					s.SetCurrent(was)
				}
				s.SetBuild(agenttest.Image3)
				p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00")
				if forged {
					wants(t, p, r, engine.OutcomeUnhealthy, "m00 unhealthy")
					if m := r.Machines[0]; !strings.Contains(m.Error, "is not what was signed") {
						t.Errorf("it says %s", m.Error)
					}
					return
				}
				wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back")
				u := s.Current().MachineUpgrades["m00"]
				s.isSigned(&u, "m00")
				if u.ID != was.HotUpgrade.ID || u.Signature.SignedAtMS <= was.HotUpgrade.Signature.SignedAtMS {
					t.Errorf("recorded: %+v", u)
				}
			})
		})
	}
}

// Somebody who gives a machine that was not selected the version of the deploy has it signed for nobody else.
func TestAForgedEntryMakesNoFleetWhole(t *testing.T) {
	signedOn(t, 2, func(t *testing.T, s *stage) {
		only := playedSettings()
		only.Select.Machines = []string{"m00"}
		s.On(agenttest.Match{Kind: agenttest.WriteMetadata, Times: 1}, agenttest.After(func() {
			md := *s.Current()
			md.MachineUpgrades["m01"] = md.MachineUpgrades["m00"]
			s.SetCurrent(md)
		}))
		p, r := s.deploy(only)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		if md := s.Current(); md.HotUpgrade != nil {
			t.Errorf("the whole fleet is to run it: %+v", md.HotUpgrade)
		}
	})
}

// A lock that somebody has written is waited for, or overridden by name, as any other: it leads to no code.
func TestATamperedLockIsNoLockOfOurs(t *testing.T) {
	signedOn(t, 1, func(t *testing.T, s *stage) {
		s.PutObject("releases/"+agenttest.App+"-deploy.lock", []byte(`{"locked_by": "nobody", "own_time_ms": 999999999999}`))
		p, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeLocked || s.State("m00").Code.Version != "1.0.0" {
			t.Errorf("it ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
	})
}

func TestALockThatIsReplacedUnderADeployEndsIt(t *testing.T) {
	signedOn(t, 1, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.CreateTemporary, Times: 1}, agenttest.Before(func() {
			s.PutObject("releases/"+agenttest.App+"-deploy.lock", []byte(`{"locked_by": "nobody", "own_time_ms": 999999999999}`))
		}))
		p, r := s.deploy(playedSettings())
		if r.Outcome == engine.OutcomeSucceeded || s.State("m00").Code.Version != "1.0.0" {
			t.Errorf("it ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
	})
}

// What a console without a key would record, it would not believe itself.
func TestAConsoleThatOnlyTrustsDeploysNothing(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		key, err := sign.Generate()
		if err != nil {
			t.Fatal(err)
		}
		s.keys = sign.NewRing(nil, []sign.PublicKey{key.Public()})
		_, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeFailed || r.Problem == nil || r.Problem.Name != "no_signing_key" || len(s.Calls(agenttest.Match{Kind: agenttest.AcquireLock})) > 0 {
			t.Errorf("%s: %v", r.Outcome, r.Problem)
		}
		plan := playedSettings()
		plan.DryRun = true
		if _, r := s.deploy(plan); r.Problem != nil && r.Problem.Name == "no_signing_key" {
			t.Errorf("a plan: %v", r.Problem)
		}
	})
}

// Where no upgrade is named for all machines, it is signed that the others run their image: what was recorded before cannot be brought back
// on a machine that keeps in mind what it has read.
func TestThatMachinesRunTheirImageIsSigned(t *testing.T) {
	signedOn(t, 2, func(t *testing.T, s *stage) {
		only := playedSettings()
		only.Select.Machines = []string{"m00"}
		_, first := s.deploy(only)
		some := *s.Current()
		if err := s.keys.CheckOwnCode(playedApp, some); err != nil || some.OwnCode.SignedAtMS != 0 {
			t.Errorf("m01 has no entry, and was not asked: %v, %+v", err, some.OwnCode)
		}
		all := playedSettings()
		all.To = first.Upgrade.ID
		s.deploy(all)
		if md := s.Current(); md.OwnCode != nil || md.HotUpgrade == nil {
			t.Errorf("all have one: %+v", md)
		}
		s.withdraw(s.keys)
		if md := s.Current(); s.keys.CheckOwnCode(playedApp, *md) != nil || md.NamesUpgrades() || md.OwnCode.SignedAtMS <= some.OwnCode.SignedAtMS {
			t.Errorf("withdrawn: %+v", md)
		}
	})
}

// Somebody takes a machine's upgrade out of current.json: a deploy to another one does not vouch anew for it that the machine runs its image's
// code. Where it takes one back to that, it asks.
func TestNobodyVouchesForAMachineThatWasNotLookedAt(t *testing.T) {
	for name, test := range map[string]struct{ removed, back, anew bool }{
		"removed": {true, false, false}, "removed, and another is taken back": {true, true, false}, "none was there, and another is taken back": {false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			signedOn(t, 2, func(t *testing.T, s *stage) {
				if test.removed {
					only := playedSettings()
					only.Select.Machines = []string{"m01"}
					if _, r := s.deploy(only); r.Outcome != engine.OutcomeSucceeded {
						t.Fatal(r.Problem)
					}
					md := *s.Current()
					md.MachineUpgrades = nil
					s.SetCurrent(md)
				}
				s.SetBuild(agenttest.Image3)
				begun := s.Storage.Now().UnixMilli()
				settings := baking(10 * time.Second)
				settings.OnSick, settings.Select.Machines = engine.OnSickBack, []string{"m00"}
				if test.back {
					if p, r := s.sick(settings, "m00"); outcomes(r) != "m00 taken_back" {
						t.Fatalf("%s: %v\n%s", outcomes(r), r.Problem, logOf(p))
					}
				} else if _, r := s.deploy(settings); r.Outcome != engine.OutcomeSucceeded {
					t.Fatal(r.Problem)
				}
				md := s.Current()
				if err := s.keys.CheckOwnCode(playedApp, *md); err != nil {
					t.Fatal(err)
				}
				if anew := md.OwnCode.SignedAtMS >= begun; anew != test.anew {
					t.Errorf("signed anew: %t", anew)
				}
			})
		})
	}
}

// withdraw takes out of current.json what it names.
func (s *stage) withdraw(keys *sign.Ring) {
	s.t.Helper()
	settings := playedSettings()
	settings.App = playedApp.Fly
	storage := engine.Storage{Locks: s.Storage, Records: s.Storage, Tarballs: s.Storage}
	if _, err := record.Withdraw(s.t.Context(), settings, storage, keys, playedApp.OTP, ""); err != nil {
		s.t.Fatal(err)
	}
}

// image_code of current.json is whoever's: what is signed for all machines is signed for the code that they have told, if they know it.
func TestAForgedImageCodeIsNotSigned(t *testing.T) {
	signedOn(t, 1, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.LoadedCode}, func(_ context.Context, _ agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			a := carryOut()
			a.Out.Stdout = imageCodeLine.ReplaceAllString(a.Out.Stdout, "image_code=\n")
			return a
		})
		s.SetCurrent(engine.Metadata{ImageRef: agenttest.Image1, ImageCode: &engine.ImageCode{ImageRef: agenttest.Image1, Fingerprint: "f0f0"}})
		s.deploy(playedSettings())
		md := s.Current()
		s.isSigned(md.HotUpgrade, "")
		if code := md.HotUpgrade.Signature.ImageCode; code != "" {
			t.Errorf("it is signed for the code %q, which no machine has told", code)
		}
	})
}

var imageCodeLine = regexp.MustCompile(`image_code=.*\n`)
