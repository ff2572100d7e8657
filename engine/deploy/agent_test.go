package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/agent/kept"
)

// sabotage changes the answers of the job that compiles the agent, as a machine with another release would.
func (s *stage) sabotage(change func(*engine.CompiledAgent)) {
	isJob := func(k agenttest.Kind) bool { return k == agenttest.StartJob || k == agenttest.PollJob }
	s.On(agenttest.Match{Kinds: isJob, Arg: "agent"}, func(_ context.Context, _ agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
		a := carryOut()
		begin, rest, found := strings.Cut(a.Out.Stdout, "FLYDEPLOY1 result ")
		if !found {
			return a
		}
		result, end, _ := strings.Cut(rest, "\n")
		var about map[string]any
		var made struct {
			Agent engine.CompiledAgent `json:"agent"`
		}
		if json.Unmarshal([]byte(result), &about) != nil || json.Unmarshal([]byte(result), &made) != nil {
			s.t.Error("no result: " + result)
			return a
		}
		change(&made.Agent)
		about["agent"] = made.Agent
		text, _ := json.Marshal(about)
		a.Out.Stdout = begin + "FLYDEPLOY1 result " + string(text) + "\n" + end
		return a
	})
}

// The agent is compiled once for the fleet, each machine gets it by one request, and it is recorded beside the tarball.
func TestTheCompiledAgentIsRecorded(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		_, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("%s: %v", r.Outcome, r.Problem)
		}
		made := r.Upgrade.Agent
		if made.OTP == "" || made.Elixir == "" || made.Source == "" || made.Size == 0 || made.URL != s.Storage.URL("releases/counter-agent-"+made.SHA256[:12]+".beams") {
			t.Errorf("the agent: %+v", made)
		}
		if md := s.Current(); md == nil || md.HotUpgrade == nil || md.HotUpgrade.Agent != made {
			t.Errorf("current.json: %+v", md)
		}
		if n := len(s.Calls(agenttest.Match{Kind: agenttest.Inject})); n != 3 {
			t.Errorf("%d injections", n)
		}
	})
}

// Deploying an earlier upgrade again takes no temporary machine, unless another flydeploy has made it or its agent is gone.
func TestAnEarlierDeploysAgentIsUsedOrMadeAgain(t *testing.T) {
	for name, test := range map[string]struct {
		machines int // temporary ones
		change   func(t *testing.T, s *stage, id string, made engine.CompiledAgent)
	}{
		"ours": {0, func(*testing.T, *stage, string, engine.CompiledAgent) {}},
		"deleted": {1, func(t *testing.T, s *stage, _ string, made engine.CompiledAgent) {
			if err := s.Storage.Delete(t.Context(), "releases/"+made.URL[strings.LastIndex(made.URL, "/")+1:]); err != nil {
				t.Fatal(err)
			}
		}},
		"another flydeploy's": {1, func(t *testing.T, s *stage, id string, made engine.CompiledAgent) {
			key := fmt.Sprintf("releases/counter-results/%s/deploy.json", id)
			s.PutObject(key, []byte(strings.ReplaceAll(string(s.Object(key)), made.Source, "0123456789ab")))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				_, first := s.deploy(playedSettings())
				if first.Outcome != engine.OutcomeSucceeded {
					t.Fatalf("%s: %v", first.Outcome, first.Problem)
				}
				s.Replace("m01", agenttest.Image1)
				test.change(t, s, first.Upgrade.ID, first.Upgrade.Agent)
				before := len(s.Calls(agenttest.Match{Kind: agenttest.CreateTemporary}))
				again := playedSettings()
				again.Resume = true
				p, r := s.deploy(again)
				if r.Outcome != engine.OutcomeSucceeded || r.Upgrade.SHA256 != first.Upgrade.SHA256 || r.Upgrade.TarballURL != first.Upgrade.TarballURL || r.Upgrade.Agent.Source != first.Upgrade.Agent.Source {
					t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				if made := len(s.Calls(agenttest.Match{Kind: agenttest.CreateTemporary})) - before; made != test.machines {
					t.Errorf("%d temporary machines", made)
				}
			})
		})
	}
}

// An agent that an earlier deploy from the same computer has compiled, of whatever app, is not compiled again.
func TestAnAgentThatIsKeptIsNotCompiledAgain(t *testing.T) {
	for name, test := range map[string]struct {
		first  func(*engine.Settings) // the first deploy
		change func(t *testing.T, s *stage, key string)
		puts   int // of the second deploy's console
	}{
		"there":        {nil, func(*testing.T, *stage, string) {}, 0},
		"deleted":      {nil, func(t *testing.T, s *stage, key string) { _ = s.Storage.Delete(t.Context(), key) }, 1},
		"after a plan": {func(s *engine.Settings) { s.DryRun = true }, func(*testing.T, *stage, string) {}, 1},
		"other bytes of its size": {nil, func(t *testing.T, s *stage, key string) {
			s.PutObject(key, []byte(strings.Repeat("x", 90_000)))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.agents = kept.Folder(t.TempDir())
				settings := playedSettings()
				if test.first != nil {
					test.first(&settings)
				}
				p, first := s.deploy(settings)
				if first.Outcome.ExitCode() != 0 {
					t.Fatalf("%s: %v\n%s", first.Outcome, first.Problem, logOf(p))
				}
				for _, key := range s.Objects("releases/counter-agent-") {
					test.change(t, s, key)
				}
				jobs := agenttest.Match{Kind: agenttest.StartJob, Arg: "agent"}
				if n := len(s.Calls(jobs)); n != 1 {
					t.Fatalf("compiled %d times", n)
				}
				s.Replace("m01", agenttest.Image1)
				p, r := s.deploy(playedSettings())
				if n := len(s.Calls(jobs)); n != 1 {
					t.Errorf("compiled %d times", n)
				}
				if n := len(s.Calls(agenttest.Match{Kind: agenttest.PutTarball})) - 1; n != test.puts { // the first deploy's source is one more
					t.Errorf("uploaded from here %d times", n)
				}
				if name == "other bytes of its size" { // what is published never changes
					if r.Outcome != engine.OutcomeFailed || !strings.Contains(r.Problem.Error(), "exists with other contents") {
						t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
					}
					return
				}
				first.Upgrade.Agent.URL = r.Upgrade.Agent.URL // a plan has a folder of its own
				if r.Outcome != engine.OutcomeSucceeded || r.Upgrade.Agent != first.Upgrade.Agent || s.Current().HotUpgrade.Agent != r.Upgrade.Agent {
					t.Errorf("%s: %v, %+v\n%s", r.Outcome, r.Problem, r.Upgrade.Agent, logOf(p))
				}
			})
		})
	}
}

// Where upgrades are signed, the agent of the one that runs is not compiled again by a console that has kept none: one of a CI, say. What
// nobody vouches for is.
func TestARecordedAgentIsUsedIfItIsSigned(t *testing.T) {
	for name, test := range map[string]struct {
		signed bool
		change func(s *stage)
		dryRun bool
		jobs   int // of the second deploy
	}{
		"signed":      {signed: true},
		"for a plan":  {signed: true, dryRun: true},
		"not signed":  {jobs: 1},
		"altered":     {signed: true, jobs: 1, change: func(s *stage) { s.alterRecord(func(u *engine.HotUpgrade) { u.Agent.SHA256 = strings.Repeat("a", 64) }) }},
		"not there":   {signed: true, jobs: 1, change: func(s *stage) { _ = s.Storage.Delete(s.t.Context(), s.Objects("releases/counter-agent-")[0]) }},
		"other bytes": {signed: true, jobs: 1, change: func(s *stage) { s.PutObject(s.Objects("releases/counter-agent-")[0], []byte("x")) }},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				if test.signed {
					s.keys = newRing(t)
				}
				_, first := s.deploy(playedSettings())
				if first.Outcome != engine.OutcomeSucceeded {
					t.Fatalf("%s: %v", first.Outcome, first.Problem)
				}
				if test.change != nil {
					test.change(s)
				}
				s.agents = kept.Folder(t.TempDir())
				jobs := agenttest.Match{Kind: agenttest.StartJob, Arg: "agent"}
				before, lies := len(s.Calls(jobs)), s.Objects("releases/counter-agent-")
				again := playedSettings()
				again.DryRun = test.dryRun
				p, r := s.deploy(again)
				if n := len(s.Calls(jobs)) - before; n != test.jobs {
					t.Errorf("compiled %d times, want %d\n%s", n, test.jobs, logOf(p))
				}
				if test.jobs > 0 {
					return
				}
				if r.Outcome.ExitCode() != 0 || r.Upgrade.Agent != first.Upgrade.Agent || !slices.Equal(s.Objects("releases/counter-agent-"), lies) {
					t.Errorf("%s: %v, %+v\n%s", r.Outcome, r.Problem, r.Upgrade.Agent, logOf(p))
				}
				if _, _, ok := s.agents.Known(r.Upgrade.Agent.Source, r.Upgrade.Agent.OTP, r.Upgrade.Agent.Elixir); ok {
					t.Error("it is kept for other apps")
				}
			})
		})
	}
}

// alterRecord changes the fleet's upgrade in current.json, as whoever has the bucket's keys can.
func (s *stage) alterRecord(change func(*engine.HotUpgrade)) {
	md := s.Current()
	change(md.HotUpgrade)
	s.SetCurrent(*md)
}

// Where the agent cannot be kept, the deploy goes on, and says what that means.
func TestAnAgentThatCannotBeKept(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.agents = kept.Folder(file)
		p, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeSucceeded || !strings.Contains(logOf(p), "the next deploy compiles the agent again") {
			t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
	})
}

// What the bucket holds is not believed, and code of another release is not loaded: the plan refuses, and says what to do.
func TestAnAgentThatIsNotLoadedRefusesThePlan(t *testing.T) {
	for _, test := range []struct {
		says, remedy string
		change       func(*engine.CompiledAgent)
	}{
		{"OTP 25 runs here, the new image has 27", "the OTP version that runs", func(a *engine.CompiledAgent) { a.OTP = "27" }},
		{"Elixir 1.14.0 runs here, the new image has 1.18.3", "the Elixir version that runs", func(a *engine.CompiledAgent) { a.Elixir = "1.18.3" }},
	} {
		t.Run(test.says, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.sabotage(test.change)
				p, r := s.deploy(playedSettings())
				if r.Outcome != engine.OutcomeFailed || r.Problem == nil || !strings.Contains(r.Problem.Error(), test.says) || !strings.Contains(r.Problem.Remedy, test.remedy) {
					t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				if s.State("m00").Code.Version != "1.0.0" || s.State("m00").Agent != "" {
					t.Errorf("machine m00: %+v", s.State("m00"))
				}
			})
		})
	}
}

// Between the upload and the injection somebody else replaces the agent in the bucket.
func TestAnAgentThatWasSwappedIsNotLoaded(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Inject, Times: 1}, agenttest.Before(func() {
			for _, key := range s.Objects("releases/counter-agent-") {
				s.PutObject(key, []byte(strings.Repeat("x", 90_000)))
			}
		}))
		p, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeFailed || r.Problem == nil || !strings.Contains(r.Problem.Error(), "sha256 of the compiled agent") || !strings.Contains(r.Problem.Remedy, "who else writes") {
			t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
	})
}

// isSource reports whether a key is that of an agent's source, which is in the bucket only while the temporary machine needs it.
func isSource(key string) bool { return strings.HasSuffix(key, ".source") }

// The agent's source reaches the temporary machine by the bucket, where nothing of it stays: one exec starts the compilation.
func TestTheAgentsSourceGoesByTheBucket(t *testing.T) {
	for name, dryRun := range map[string]bool{"deploy": false, "plan": true} {
		t.Run(name, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				settings := playedSettings()
				settings.DryRun = dryRun
				p, r := s.deploy(settings)
				if r.Outcome.ExitCode() != 0 {
					t.Fatalf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				sent := slices.DeleteFunc(s.Calls(agenttest.Match{Kind: agenttest.PutTarball}), func(c agenttest.Call) bool { return !isSource(c.Arg) })
				if len(sent) != 1 || !strings.Contains(sent[0].Arg, r.Upgrade.ID) || strings.Contains(sent[0].Arg, "-results/") == dryRun {
					t.Errorf("sent: %+v", sent)
				}
				if n := len(s.Calls(agenttest.Match{Kind: agenttest.StartJob, Arg: "agent"})); n != 1 {
					t.Errorf("%d execs for the source", n)
				}
				if left := slices.DeleteFunc(s.Objects(""), func(key string) bool { return !isSource(key) }); len(left) > 0 {
					t.Errorf("left in the bucket: %v", left)
				}
			})
		})
	}
}

// A source that does not arrive fails the deploy before anything is touched, and the error says where it was lost.
func TestAnAgentsSourceThatDoesNotArrive(t *testing.T) {
	onSource := func(s *stage, do func(key string)) {
		s.On(agenttest.Match{Kind: agenttest.StartJob, Arg: "agent"}, agenttest.Before(func() {
			for _, key := range s.Objects("") {
				if isSource(key) {
					do(key)
				}
			}
		}))
	}
	for says, test := range map[string]struct {
		remedy string
		fault  func(t *testing.T, s *stage)
	}{
		"downloading the agent's source: connecting to storage.test:443 failed: etimedout": {"reach the bucket", func(_ *testing.T, s *stage) {
			s.SetTemporary(agenttest.Temporary{DownloadError: "connecting to storage.test:443 failed: etimedout"})
		}},
		"downloading the agent's source: the storage answered 404": {"reach the bucket", func(t *testing.T, s *stage) {
			onSource(s, func(key string) {
				if err := s.Storage.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			})
		}},
		"downloading the agent's source: the sha256": {"who else writes", func(_ *testing.T, s *stage) {
			onSource(s, func(key string) { s.PutObject(key, []byte("x")) })
		}},
		"upload the agent's source as releases/counter-results/": {"", func(_ *testing.T, s *stage) {
			s.On(agenttest.Match{Kind: agenttest.PutTarball}, agenttest.Fail(errors.New("no route to the storage")))
		}},
	} {
		t.Run(says, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				test.fault(t, s)
				p, r := s.deploy(playedSettings())
				if r.Outcome != engine.OutcomeFailed || r.Problem == nil || !strings.Contains(r.Problem.Error(), says) || !strings.Contains(r.Problem.Remedy, test.remedy) {
					t.Errorf("%s: %v (%+v)\n%s", r.Outcome, r.Problem, r.Problem, logOf(p))
				}
				if left := slices.DeleteFunc(s.Objects(""), func(key string) bool { return !isSource(key) }); len(left)+len(s.Temporaries()) > 0 {
					t.Errorf("left: %v, %v", left, s.Temporaries())
				}
				if st := s.State("m00"); st.Code.Version != "1.0.0" || st.Agent != "" {
					t.Errorf("machine m00: %+v", st)
				}
			})
		})
	}
}
