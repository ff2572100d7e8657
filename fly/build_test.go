package fly_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flydeploy/fly"
)

// flyctl puts a script in the place of flyctl, which prints what flyctl prints.
func flyctl(t *testing.T, script string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fly")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FLYCTL", path)
}

func build(t *testing.T, b fly.Builder) (image string, lines []string, err error) {
	t.Helper()
	image, err = b.Build(t.Context(), func(line string) { lines = append(lines, line) })
	return image, lines, err
}

const ok = `
printf '==> Verifying app config\n'
printf 'Validating fly.toml\n\033[32m✓\033[0m Configuration is valid\n' >&2
printf '#1 [1/9] downloading 10%%\r#1 [1/9] downloading 100%%\r\n' >&2
printf '#12 image: not/this:one\n'
printf '\033[1mimage: registry.fly.io/counter:deployment-01K94R\033[0m\n' >&2
printf 'image size: 52 MB'
`

func TestBuildFindsTheImage(t *testing.T) {
	flyctl(t, ok)
	image, lines, err := build(t, fly.Builder{})
	if err != nil || image != "registry.fly.io/counter:deployment-01K94R" {
		t.Fatalf("%q, %v", image, err)
	}
	slices.Sort(lines) // two streams have no order between them
	want := []string{
		"#1 [1/9] downloading 10%", "#1 [1/9] downloading 100%", "#12 image: not/this:one", "==> Verifying app config",
		"Validating fly.toml", "image size: 52 MB", "image: registry.fly.io/counter:deployment-01K94R",
		"✓ Configuration is valid",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
}

func TestBuildPassesFlagsOn(t *testing.T) {
	flyctl(t, `for a in "$@"; do printf '<%s>' "$a"; done; echo; echo "stdin: $(cat)"; echo image: registry.fly.io/a:b`)
	_, lines, err := build(t, fly.Builder{
		App: "counter", Config: "fly staging.toml", BuildArgs: []string{"A=1 2", "B="}, NoCache: true, Buildkit: true, Depot: "false", ImageLabel: "v2",
	})
	want := []string{
		"<deploy><--build-only><--push><--remote-only><--app><counter><--config><fly staging.toml><--image-label><v2>" +
			"<--build-arg><A=1 2><--build-arg><B=><--no-cache><--buildkit><--depot=false>",
		"stdin:", "image: registry.fly.io/a:b",
	}
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("got %q, %v", lines, err)
	}
}

// A build's secrets, another Dockerfile or builder are flyctl's own flags.
func TestBuildPassesOnWhatOnlyFlyctlKnows(t *testing.T) {
	flyctl(t, `for a in "$@"; do printf '<%s>' "$a"; done; echo; echo image: registry.fly.io/a:b`)
	for _, try := range []struct {
		passed []string
		want   string
	}{
		{[]string{"--build-secret", "KEY=1 2", "--dockerfile=X"}, "<deploy><--build-only><--push><--remote-only><--build-secret><KEY=1 2><--dockerfile=X>"},
		{[]string{"--local-only"}, "<deploy><--build-only><--push><--local-only>"},
		{[]string{"--remote-only=false"}, "<deploy><--build-only><--push><--remote-only=false>"},
	} {
		if err := fly.CheckPassed(try.passed); err != nil {
			t.Error(err)
		}
		if _, lines, err := build(t, fly.Builder{Passed: try.passed}); err != nil || lines[0] != try.want {
			t.Errorf("got %q, %v", lines, err)
		}
	}
	for flag, why := range map[string]string{
		"--app=shop": "before the --", "-c": "before the --", "--image": "--skip-build --image", "--access-token=secret": "FLY_ACCESS_TOKEN",
		"--strategy": "only builds", "--push=false": "nothing else", "-cfly.staging.toml": "before the --", "-tsecret": "FLY_ACCESS_TOKEN", "--dns-checks=false": "only builds",
	} {
		err := fly.CheckPassed([]string{"--dockerfile", "X", flag})
		if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// flyctl refuses a login that is older than 30 days, unless a token is in FLY_ACCESS_TOKEN.
func TestBuildUsesOurToken(t *testing.T) {
	flyctl(t, `echo "<$FLY_ACCESS_TOKEN> <$FLY_API_TOKEN>"; echo image: registry.fly.io/a:b`)
	t.Setenv("FLY_ACCESS_TOKEN", "")
	t.Setenv("FLY_API_TOKEN", "of the shell")
	if _, lines, err := build(t, fly.Builder{Token: "ours"}); err != nil || lines[0] != "<ours> <>" {
		t.Errorf("got %q, %v", lines, err)
	}
	if _, lines, err := build(t, fly.Builder{}); err != nil || lines[0] != "<> <of the shell>" {
		t.Errorf("got %q, %v", lines, err)
	}
}

func TestBuildFailuresAreExplained(t *testing.T) {
	for name, try := range map[string]struct{ script, problem, says string }{
		"exit 1": {`echo step 1; echo 'Error: failed to fetch an image or build from source' >&2; echo more; exit 1`,
			"build_failed", "exit status 1): Error: failed to fetch an image"},
		"exit 126":         {`exit 126`, "build_failed", "timed out"},
		"exit 127":         {`exit 127`, "build_failed", "interrupted"},
		"killed":           {`kill -9 $$`, "build_failed", "killed"},
		"no image":         {`echo done`, "no_image", "image:"},
		"no proper image":  {`echo 'image: '; echo 'image: UPPER/case'; echo 'image: name-only'`, "no_image", "image:"},
		"not a program":    {"", "", ""},
		"a secret in args": {`exit 1`, "build_failed", "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			flyctl(t, try.script)
			if name == "not a program" {
				t.Setenv("FLYCTL", filepath.Join(t.TempDir(), "none"))
				try.problem, try.says = "no_flyctl", "no such file"
			}
			image, _, err := build(t, fly.Builder{BuildArgs: []string{"TOKEN=" + testToken}})
			wantProblem(t, err, try.problem)
			if !strings.Contains(err.Error(), try.says) || image != "" {
				t.Errorf("%q, %v", image, err)
			}
		})
	}
}

func TestFlyctlIsFoundOnThePath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("FLYCTL", "")
	t.Setenv("PATH", dir)
	_, _, err := build(t, fly.Builder{})
	wantProblem(t, err, "no_flyctl")
	for _, name := range []string{"flyctl", "fly"} { // the second is preferred
		script := "#!/bin/sh\necho image: registry.fly.io/counter:" + name + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		if image, _, err := build(t, fly.Builder{}); err != nil || image != "registry.fly.io/counter:"+name {
			t.Errorf("%s: %q, %v", name, image, err)
		}
	}
}

func TestFlyctlTellsItsVersion(t *testing.T) {
	flyctl(t, `[ "$1" = version ] && printf 'fly v0.3.209 linux/amd64 \033[2mCommit: 1234\033[0m\nmore\n'`)
	path, version, err := fly.Flyctl(t.Context())
	if err != nil || version != "fly v0.3.209 linux/amd64 Commit: 1234" || path != os.Getenv("FLYCTL") {
		t.Errorf("%q, %q, %v", path, version, err)
	}
	flyctl(t, `exit 3`)
	_, _, err = fly.Flyctl(t.Context())
	wantProblem(t, err, "no_flyctl")
	t.Setenv("FLYCTL", "")
	t.Setenv("PATH", t.TempDir())
	_, _, err = fly.Flyctl(t.Context())
	wantProblem(t, err, "no_flyctl")
}

func TestCancelEndsFlyctlAndItsChildren(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	// A child that ignores the interrupt, and a parent that takes its time.
	flyctl(t, `(trap '' INT; echo $$ >>`+pids+`; exec sleep 300) & child=$!
trap 'echo interrupted; exit 127' INT
echo $child >>`+pids+`; echo building; wait; wait`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Now()
	var lines []string
	_, err := fly.Builder{}.Build(ctx, func(line string) {
		lines = append(lines, line)
		if line == "building" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("took %v", took)
	}
	if !slices.Contains(lines, "interrupted") {
		t.Errorf("flyctl was not asked to end: %q", lines)
	}
	body, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(body)) {
		waitGone(t, pid)
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// waitGone waits until a process has ended. The init of a container may never reap it: a zombie has ended.
func waitGone(t *testing.T, pid string) {
	t.Helper()
	n := number(t, pid)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if errors.Is(syscall.Kill(n, 0), syscall.ESRCH) || (err == nil && strings.Contains(string(stat), ") Z ")) {
			return
		}
	}
	t.Errorf("process %s still runs", pid)
}

func TestBuildWithSomethingLeftInTheBackground(t *testing.T) {
	flyctl(t, `echo image: registry.fly.io/counter:b; sleep 30 & echo "pid $!"`)
	image, lines, err := build(t, fly.Builder{})
	if err != nil || image != "registry.fly.io/counter:b" {
		t.Errorf("%q, %v", image, err)
	}
	for _, line := range lines {
		if pid, ok := strings.CutPrefix(line, "pid "); ok {
			if p, err := os.FindProcess(number(t, pid)); err == nil {
				_ = p.Kill()
			}
		}
	}
}
