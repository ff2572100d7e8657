package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"flydeploy/examples/counter/countertest"
)

// The built binary as a process, as operators and CI jobs run it.

var built struct {
	sync.Once
	folder string
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.folder != "" {
		os.RemoveAll(built.folder)
	}
	os.Exit(code)
}

func binary(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "flydeploy-e2e-"); built.err != nil {
			return
		}
		var out []byte
		if out, built.err = exec.Command("go", "build", "-o", filepath.Join(built.folder, "flydeploy"), "flydeploy").CombinedOutput(); built.err != nil {
			t.Logf("%s", out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.folder, "flydeploy")
}

// run gives what a command printed and its exit code. Its home and caches lie in a folder of the test's own.
func run(t testing.TB, dir string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(binary(t), args...)
	cmd.Dir = dir
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "FLY_") && !strings.HasPrefix(name, "AWS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, append([]string{"HOME=" + home, "XDG_CACHE_HOME=" + home, "FLY_CONFIG_DIR=" + home}, env...)...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	_ = cmd.Run()
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// line is what the tests read of a line of JSON output.
type line struct {
	Type    string `json:"type"`
	Phase   string `json:"phase"`
	Status  string `json:"status"`
	Outcome string `json:"outcome"`
	Plan    *struct {
		Verdict struct {
			Word string `json:"word"`
			Text string `json:"text"`
		} `json:"verdict"`
		Findings []struct {
			Name      string `json:"name"`
			Severity  string `json:"severity"`
			Processes int    `json:"processes"`
			Remedy    string `json:"remedy"`
		} `json:"findings"`
	} `json:"plan"`
	Traffic *struct {
		Requests int  `json:"requests"`
		Failed   int  `json:"failed"`
		Covered  bool `json:"covered"`
	} `json:"traffic"`
	Machines []struct {
		ID              string `json:"id"`
		Outcome         string `json:"outcome"`
		Counters        int    `json:"counters"`
		StatesMigrated  int    `json:"states_migrated"`
		PidsUnchanged   bool   `json:"pids_unchanged"`
		CountsUnchanged bool   `json:"counts_unchanged"`
		CodeUnchanged   bool   `json:"code_unchanged"`
		TaskUnchanged   bool   `json:"task_unchanged"`
		StatesFit       bool   `json:"states_fit"`
		FullReport      string `json:"full_report"`
		FailuresTotal   int    `json:"failures_total"`
		Failures        []struct {
			PID         string   `json:"pid"`
			Module      string   `json:"module"`
			Exception   string   `json:"exception"`
			Stack       []string `json:"stack"`
			StateBefore string   `json:"state_before"`
		} `json:"failures"`
	} `json:"machines"`
}

func parseLines(t *testing.T, out string) []line {
	t.Helper()
	var all []line
	for text := range strings.Lines(out) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("not JSON: %q: %v", text, err)
		}
		all = append(all, l)
	}
	if len(all) == 0 || all[len(all)-1].Type != "result" {
		t.Fatalf("no result at the end of\n%s", out)
	}
	return all
}

// seedPhases are those of a deploy whose image was built before.
var seedPhases = []string{
	"orchestrator", "tarball", "upload", "metadata", "reload", "extract", "detection", "suspension",
	"code_load", "migration", "resume",
}

// expectSeedPhases: the phases that fly_deploy has are each shown as done.
func expectSeedPhases(t *testing.T, out string) {
	t.Helper()
	done := map[string]bool{}
	for _, l := range parseLines(t, out) {
		done[l.Phase] = done[l.Phase] || l.Status == "done"
	}
	for _, p := range seedPhases {
		if !done[p] {
			t.Errorf("phase %s was not shown as done", p)
		}
	}
}

// afterADemo is the environment of a demo that finds these versions of the sample, and the compiled agent, as an earlier one has left
// them.
func afterADemo(t *testing.T, versions ...int) []string {
	t.Helper()
	env, cache := afterADeploy(t)
	for _, v := range versions {
		if err := os.Symlink(filepath.Dir(countertest.Release(t, v)), filepath.Join(cache, "counter")); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	return []string{env}
}

// afterADeploy is the environment of a command with an empty cache folder, but for the compiled agents that the computer's real one
// keeps.
func afterADeploy(t testing.TB) (env, cache string) {
	t.Helper()
	countertest.Agent(t)
	users, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	agents, cache := filepath.Join(users, "flydeploy", "agents"), filepath.Join(t.TempDir(), "flydeploy")
	if err := errors.Join(os.MkdirAll(agents, 0o700), os.Mkdir(cache, 0o700), os.Symlink(agents, filepath.Join(cache, "agents"))); err != nil {
		t.Fatal(err)
	}
	return "XDG_CACHE_HOME=" + filepath.Dir(cache), cache
}

// A careless version, with a field and a key that no code_change brings, and a child: the plan stops it before anything is suspended.
func TestDemoIsStoppedByItsPlan(t *testing.T) {
	t.Parallel()
	out, errs, code := run(t, t.TempDir(), afterADemo(t, 1, 4), "demo", "--upgrade", "4", "--yes", "--output", "json", "--machines", "1", "--counters", "50")
	if code != 3 {
		t.Fatalf("exit %d\n%s\n%s", code, errs, out)
	}
	all := parseLines(t, out)
	r := all[len(all)-1]
	if r.Outcome != "blocked" || r.Traffic == nil || r.Traffic.Failed != 0 {
		t.Errorf("result %+v, traffic %+v", r, r.Traffic)
	}
	for _, m := range r.Machines {
		if m.Outcome != "aborted" || !m.PidsUnchanged || !m.CountsUnchanged || !m.CodeUnchanged || !m.StatesFit {
			t.Errorf("machine %+v", m)
		}
	}
	i := slices.IndexFunc(all, func(l line) bool { return l.Plan != nil })
	if i < 0 {
		t.Fatal("there is no plan")
	}
	p := all[i].Plan
	var blockers []string
	for _, f := range p.Findings {
		if f.Severity != "info" {
			blockers = append(blockers, fmt.Sprintf("%s %s %d", f.Severity, f.Name, f.Processes))
		}
		if f.Severity != "info" && f.Remedy == "" {
			t.Errorf("%s has no remedy", f.Name)
		}
	}
	if want := []string{"block stale_struct 50", "block stale_shape 1", "block children_changed 0", "warn hidden_process 1"}; !slices.Equal(blockers, want) {
		t.Errorf("the plan finds %q, want %q", blockers, want)
	}
	if p.Verdict.Word != "cold" || p.Verdict.Text != "cold: stale_struct (50 processes), stale_shape (1 process), children_changed" {
		t.Errorf("the verdict is %+v", p.Verdict)
	}
}

// A migration that raises: every process runs, with old state and old code, and the report names the culprit.
func TestDemoRollsBack(t *testing.T) {
	t.Parallel()
	out, errs, code := run(t, t.TempDir(), afterADemo(t, 1, 3), "demo", "--upgrade", "3", "--yes", "--output", "json", "--machines", "1", "--counters", "600")
	if code != 1 {
		t.Fatalf("exit %d\n%s\n%s", code, errs, out)
	}
	all := parseLines(t, out)
	r := all[len(all)-1]
	if r.Outcome != "failed" || r.Traffic == nil || r.Traffic.Requests == 0 || r.Traffic.Failed != 0 || !r.Traffic.Covered {
		t.Errorf("result %+v, traffic %+v", r, r.Traffic)
	}
	for _, m := range r.Machines {
		if m.Outcome != "rolled_back" || !m.PidsUnchanged || !m.CountsUnchanged || !m.CodeUnchanged || !m.TaskUnchanged || !m.StatesFit || m.StatesMigrated != 0 {
			t.Errorf("machine %+v", m)
		}
		if len(m.Failures) == 0 || m.Failures[0].Module != "Counter.Server" || !strings.Contains(m.Failures[0].Exception, "book is closed") ||
			len(m.Failures[0].Stack) == 0 || !strings.Contains(m.Failures[0].StateBefore, "count: integer") {
			t.Errorf("failures %+v", m.Failures)
		}
		if m.FailuresTotal == 0 || !strings.Contains(m.FullReport, m.ID) {
			t.Errorf("%d failures in the full report %q", m.FailuresTotal, m.FullReport)
		}
	}
}

func TestWrongUseIsExplained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "fly.toml"), "app = \"counter\"\n")
	broken := t.TempDir()
	write(t, filepath.Join(broken, "fly.toml"), "app = \"counter\"\n[env\n")
	token := []string{"FLY_API_TOKEN=secret-token-of-the-test", "FLY_FLAPS_BASE_URL=http://127.0.0.1:1"}
	for _, c := range []struct {
		name string
		dir  string
		env  []string
		args []string
		code int
		says string
	}{
		{"unknown option", dir, token, []string{"hot", "--sideways"}, 2, "unknown flag: --sideways\nSee `flydeploy hot --help`"},
		{"unknown command", dir, token, []string{"lukewarm"}, 2, "lukewarm"},
		{"nobody to confirm", dir, token, []string{"hot"}, 2, "--yes"},
		{"skip-build without an image", dir, token, []string{"hot", "--yes", "--skip-build"}, 2, "--image"},
		{"resume with an image", dir, token, []string{"hot", "--yes", "--resume", "--skip-build", "--image", "a:b"}, 2, "--resume"},
		{"unknown output", dir, token, []string{"hot", "--yes", "--output", "xml"}, 2, "xml"},
		{"skip-build without a fly.toml", t.TempDir(), token, []string{"hot", "--skip-build"}, 2, "--image"},
		{"unknown output without a fly.toml", t.TempDir(), token, []string{"hot", "--output", "xml"}, 2, "xml"},
		{"unknown output of status", dir, token, []string{"status", "--output", "xml"}, 2, "xml"},
		{"unknown output of replay", dir, token, []string{"replay", "fly.toml", "--output", "xml"}, 2, "xml"},
		{"unknown theme of replay", dir, token, []string{"replay", "fly.toml", "--theme", "pink"}, 2, "pink"},
		{"unknown output of history", dir, token, []string{"history", "--output", "console"}, 2, "console"},
		{"a replay of nothing", dir, token, []string{"replay", "fly.toml"}, 1, "no events"},
		{"status deploys nothing", dir, token, []string{"status", "--strategy", "canary"}, 2, "unknown flag: --strategy"},
		{"a plan takes no lock", dir, token, []string{"plan", "--force"}, 2, "unknown flag: --force"},
		{"read-only deploys nothing", t.TempDir(), token, []string{"hot", "--yes", "--read-only"}, 2, "--dry-run"},
		{"a read-only demo deploys nothing", dir, token, []string{"demo", "--yes", "--read-only"}, 2, "--read-only"},
		{"a demo too small to fail", dir, token, []string{"demo", "--yes", "--upgrade", "3", "--counters", "499"}, 2, "at least 500"},
		{"the demo has its own storage", dir, token, []string{"demo", "--yes", "--storage", "bogus"}, 2, "unknown flag: --storage"},
		{"unknown isolation", dir, token, []string{"demo", "--yes", "--isolation", "foo"}, 2, `not "foo"`},
		{"unknown strategy of the demo", dir, token, []string{"demo", "--yes", "--strategy", "foo"}, 2, `not "foo"`},
		{"unknown theme", dir, token, []string{"hot", "--yes", "--theme", "pink"}, 2, `not "pink"`},
		{"an argument too many", dir, token, []string{"lock", "show", "me"}, 2, "me"},
		{"no fly.toml", t.TempDir(), token, []string{"hot", "--yes"}, 1, "fly.toml"},
		{"broken fly.toml", broken, token, []string{"hot", "--yes"}, 1, "fly.toml:2"},
		{"no token", dir, nil, []string{"status"}, 1, "fly auth login"},
		{"API not there", dir, token, []string{"status"}, 1, "flydeploy: list the machines of counter: no answer: dial tcp 127.0.0.1:1"},
		{"a plan is read-only", dir, nil, []string{"hot", "--dry-run", "--read-only"}, 1, "fly auth login"},
		{"console without a terminal", dir, token, nil, 2, "terminal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := run(t, c.dir, c.env, c.args...)
			if code != c.code || !strings.Contains(errs, c.says) {
				t.Errorf("exit %d, want %d with %q:\n%s%s", code, c.code, c.says, out, errs)
			}
			if strings.Contains(out+errs, "secret-token") {
				t.Errorf("the token is shown:\n%s%s", out, errs)
			}
		})
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
