package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/agent/kept"
)

// fromRegistry are the settings of a deploy without a temporary machine.
func fromRegistry() engine.Settings {
	s := playedSettings()
	s.Source = engine.SourceRegistry
	return s
}

// knowsAgent has a deploy by a temporary machine leave its agent on this computer.
func (s *stage) knowsAgent() {
	s.t.Helper()
	s.agents = kept.Folder(s.t.TempDir())
	if _, r := s.deploy(playedSettings()); r.Outcome != engine.OutcomeSucceeded {
		s.t.Fatalf("by a temporary machine: %s %v", r.Outcome, r.Problem)
	}
	s.SetBuild(agenttest.Image3)
}

// packedHere checks that the third version runs everywhere and that no temporary machine has packed it.
func (s *stage) packedHere(p *engine.Progress, r engine.Result, temporaries int) {
	s.t.Helper()
	wants(s.t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
	if made := len(s.Calls(agenttest.Match{Kind: agenttest.CreateTemporary})); made != temporaries {
		s.t.Errorf("%d temporary machines were asked for", made)
	}
	if fleet, single := s.recorded(); fleet != "3.0.0" || len(single) > 0 {
		s.t.Errorf("recorded %s %v", fleet, single)
	}
	u := s.Current().HotUpgrade
	if name, digest, ok := strings.Cut(u.SourceImageRef, "@sha256:"); !ok || name != agenttest.Image3 || len(digest) != 64 {
		s.t.Errorf("the record's image is not pinned: %s", u.SourceImageRef)
	}
	if body := s.Object("releases/counter-3.0.0.tar.gz"); int64(len(body)) != u.Size || !bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		s.t.Errorf("the tarball has %d bytes, recorded are %d", len(body), u.Size)
	}
	s.nothingLeft()
}

func TestADeployWithoutATemporaryMachine(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.knowsAgent()
		p, r := s.deploy(fromRegistry())
		s.packedHere(p, r, 1)
		var counted []string
		for _, e := range s.recordedEvents(r.Upgrade.ID) {
			counted = append(counted, string(e.Phase)+" "+e.Unit)
		}
		orchestrator := p.Fleet[engine.PhaseOrchestrator]
		if orchestrator.Status != engine.StatusSkipped || orchestrator.Text != "no temporary machine: the release is read from the image's layers" {
			t.Errorf("%+v", orchestrator)
		}
		if !slices.Contains(counted, "tarball files") || !slices.Contains(counted, "upload bytes") {
			t.Errorf("counted are %q", counted)
		}
	})
}

// Where Fly has no room for a machine, the deploy goes without one, and says so.
func TestWithoutRoomForATemporaryMachine(t *testing.T) {
	for _, name := range []string{"no_capacity", "over_quota", "payment_needed"} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.knowsAgent()
				s.SetTemporary(agenttest.Temporary{CreateError: engine.NewProblem(name, "start a temporary machine: no region has room for it", nil, "Ask for less.")})
				p, r := s.deploy(playedSettings())
				s.packedHere(p, r, 2)
				orchestrator := p.Fleet[engine.PhaseOrchestrator]
				if orchestrator.Status != engine.StatusSkipped || !strings.Contains(orchestrator.Text, "image's layers (start a temporary machine: no region has room for it)") {
					t.Errorf("%+v", orchestrator)
				}
			})
		})
	}
}

// A deploy that needs the machine fails as it did, and so does one that was told to take it, or that may have got it.
func TestWithoutRoomForAMachineThatIsNeeded(t *testing.T) {
	full := engine.NewProblem("no_capacity", "no region has room", nil, "Ask for less.")
	for name, try := range map[string]struct {
		change func(*engine.Settings)
		err    error
	}{
		"--apply-config":    {func(s *engine.Settings) { s.ApplyConfig = true }, full},
		"--release-command": {func(s *engine.Settings) { s.RunReleaseCommand, s.ReleaseCommand = true, "bin/migrate" }, full},
		"--source machine":  {func(s *engine.Settings) { s.Source = engine.SourceMachine }, full},
		"another problem":   {func(*engine.Settings) {}, engine.NewProblem("temporary_failed", "it is stopped", nil, "Look.")},
		"no answer":         {func(*engine.Settings) {}, errors.Join(full, engine.ErrUnknownOutcome)},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.knowsAgent()
				s.SetTemporary(agenttest.Temporary{CreateError: try.err})
				settings := playedSettings()
				try.change(&settings)
				_, r := s.deploy(settings)
				if r.Outcome != engine.OutcomeFailed || r.Problem.Name != engine.AsProblem(try.err).Name || len(s.Calls(agenttest.Match{Kind: agenttest.ReadImage})) > 0 {
					t.Errorf("%s: %v", r.Outcome, r.Problem)
				}
				s.nothingLeft()
			})
		})
	}
}

func TestWhatNeedsATemporaryMachine(t *testing.T) {
	for option, change := range map[string]func(*engine.Settings){
		"--apply-config":    func(s *engine.Settings) { s.ApplyConfig = true },
		"--release-command": func(s *engine.Settings) { s.RunReleaseCommand, s.ReleaseCommand = true, "bin/migrate" },
	} {
		t.Run(option, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				settings := fromRegistry()
				change(&settings)
				_, r := s.deploy(settings)
				if r.Problem == nil || r.Problem.Name != "source_needs_machine" || !strings.Contains(r.Problem.What, option) {
					t.Errorf("%v", r.Problem)
				}
				if built := s.Calls(agenttest.Match{Kind: agenttest.Build}); len(built) > 0 {
					t.Error("an image was built in vain")
				}
			})
		})
	}
}

// A plan leaves nothing in the bucket, and a token that may create no machine is enough.
func TestAPlanWithoutATemporaryMachine(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.knowsAgent()
		s.Forbid()
		before := s.Objects("releases/")
		settings := fromRegistry()
		settings.DryRun = true
		p, r := s.deploy(settings)
		if r.Outcome != engine.OutcomeSucceeded || p.Plan == nil || p.Plan.Upgrade.Version != "3.0.0" {
			t.Errorf("%s %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		if after := s.Objects("releases/"); !slices.Equal(before, after) {
			t.Errorf("it left %q", after)
		}
		s.nothingLeft()
	})
}

// An agent that this computer does not know may be in the bucket, where current.json names it.
func TestTheRecordsAgentWithoutATemporaryMachine(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.knowsAgent()
		s.agents = kept.Folder(t.TempDir())
		agent := s.Current().HotUpgrade.Agent
		p, r := s.deploy(fromRegistry())
		s.packedHere(p, r, 1)
		if used := s.Current().HotUpgrade.Agent; used != agent {
			t.Errorf("used %+v, recorded was %+v", used, agent)
		}
	})
}

func TestNoAgentWithoutATemporaryMachine(t *testing.T) {
	newer := agenttest.FilesOf(agenttest.Image3)
	newer["releases/start_erl.data"] = "16.0 3.0.0"
	for name, try := range map[string]struct {
		files        map[string]string
		what, remedy string
	}{
		"none was compiled": {nil, "no agent for OTP 25 and Elixir 1.14.0", "--source machine"},
		"another OTP":       {newer, "no agent for OTP 28 and Elixir 1.14.0 is known, and without a temporary machine none is compiled; the machines run OTP 25", "fly deploy --image registry.fly.io/counter:v2@sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.SetImage(try.files)
				_, r := s.deploy(fromRegistry())
				if r.Outcome != engine.OutcomeFailed || r.Problem.Name != "no_agent" || !strings.Contains(r.Problem.What, try.what) || !strings.Contains(r.Problem.Remedy, try.remedy) {
					t.Errorf("%s: %v", r.Outcome, r.Problem)
				}
				if left := s.Objects("releases/counter-2"); len(left) > 0 {
					t.Errorf("uploaded: %q", left)
				}
				s.nothingLeft()
			})
		})
	}
}

func TestImagesWithoutARelease(t *testing.T) {
	change := func(do func(map[string]string)) map[string]string {
		files := maps.Clone(agenttest.FilesOf(agenttest.Image3))
		do(files)
		return files
	}
	for name, try := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":             {map[string]string{}, "image_without_release"},
		"no start_erl.data":   {change(func(f map[string]string) { delete(f, "releases/start_erl.data") }), "image_without_release"},
		"a strange version":   {change(func(f map[string]string) { f["releases/start_erl.data"] = "13 ../x" }), "image_without_release"},
		"another application": {change(func(f map[string]string) { delete(f, "lib/counter-3.0.0/ebin/counter.app") }), "tarball_failed"},
		"an odd .app file":    {change(func(f map[string]string) { f["lib/counter-3.0.0/ebin/counter.app"] = "{application,counter,[" }), "tarball_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				s.knowsAgent()
				s.SetImage(try.files)
				_, r := s.deploy(fromRegistry())
				if r.Problem == nil || r.Problem.Name != try.want || r.Problem.Remedy == "" {
					t.Errorf("%v, want %s", r.Problem, try.want)
				}
				s.nothingLeft()
			})
		})
	}
}

// A machine that cannot say what the new settings are is no reason to fail: another one can. An answer that got lost is asked for again.
func TestAnotherMachineReadsTheSettings(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.knowsAgent()
		s.On(agenttest.Match{Kind: agenttest.ReadSettings, Times: 1}, agenttest.LoseAnswer)
		s.On(agenttest.Match{Kind: agenttest.ReadSettings, Machine: "m00"}, func(context.Context, agenttest.Call, func() agenttest.Answer) agenttest.Answer {
			return agenttest.Answer{Err: errors.New("exec on machine m00: 500")}
		})
		p, r := s.deploy(fromRegistry())
		s.packedHere(p, r, 1)
	})
}

// What was kept on this computer is removed, whatever happens.
func TestNoTemporaryFileStays(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	s := &stage{World: agenttest.NewWorld(2), t: t}
	s.knowsAgent()
	for _, fault := range []agenttest.Kind{"", agenttest.PutTarball, agenttest.ReadSettings} {
		remove := s.On(agenttest.Match{Kind: fault}, func(_ context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			if fault == "" {
				return carryOut()
			}
			return agenttest.Answer{Err: errors.New(http.StatusText(http.StatusTeapot))}
		})
		settings := fromRegistry()
		settings.DryRun = true
		if _, r := s.deploy(settings); (r.Outcome == engine.OutcomeSucceeded) != (fault == "") {
			t.Errorf("%q: %s %v", fault, r.Outcome, r.Problem)
		}
		remove()
		if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) > 0 {
			t.Errorf("%q: %q stay", fault, left)
		}
	}
	t.Setenv("TMPDIR", filepath.Join(folder, "none"))
	if _, r := s.deploy(fromRegistry()); r.Problem == nil || r.Problem.Name != "no_temporary_file" {
		t.Errorf("without a folder: %v", r.Problem)
	}
}
