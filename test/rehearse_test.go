package test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"flydeploy/examples/counter/countertest"
	"flydeploy/fly/local"
)

// shellRelease is a release for this computer whose script is a shell's: it boots within milliseconds, as far as it does.
func shellRelease(t *testing.T, start string) string {
	t.Helper()
	dir := t.TempDir()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"bin/my_app": "#!/bin/sh\n[ \"$1\" = start ] || exit 1\n" + start + "\n", "releases/start_erl.data": "14 1.2.3", "releases/1.2.3/my_app.rel": "",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.MkdirAll(filepath.Join(dir, "erts-14/bin"), 0o755), os.Symlink(own, filepath.Join(dir, "erts-14/bin/beam.smp"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// leavesNothing fails if a Fly on this computer has left its folder in a cache.
func leavesNothing(t *testing.T, cache string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(cache, "flydeploy", "local", "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// A rehearsal whose release does not come up, or whose options cannot be, ends at once with the reason, shows no secret, and leaves nothing.
func TestARehearsalThatCannotBegin(t *testing.T) {
	t.Parallel()
	env := filepath.Join(t.TempDir(), ".env.test")
	write(t, env, "SECRET_KEY=very-secret\nBUCKET_NAME=the-real-one\n")
	broken := filepath.Join(t.TempDir(), ".env.test")
	write(t, broken, "A=1\nvery-secret\n")
	dies := shellRelease(t, `echo "cannot connect with $SECRET_KEY to $BUCKET_NAME" | sed 's/,.*//'; exit 3`)
	hangs := shellRelease(t, "echo waiting for a database; exec sleep 1000")
	other := shellRelease(t, "exit 0")
	write(t, filepath.Join(other, "releases/start_erl.data"), "15 1.2.3")
	foreign := shellRelease(t, "exit 0")
	write(t, filepath.Join(foreign, "erts-14/bin/beam.elf"), foreignVM)
	if err := os.Rename(filepath.Join(foreign, "erts-14/bin/beam.elf"), filepath.Join(foreign, "erts-14/bin/beam.smp")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"another processor":   {[]string{"--old", dies, "--new", foreign}, 1, []string{foreign + " cannot run here: its Erlang VM was built for linux/s390x, and this computer is", "→ Rehearse on a computer that is linux/s390x"}},
		"it dies":             {[]string{"--old", dies, "--new", dies, "--env-file", env}, 1, []string{"my_app ended with exit status 3 while it booted", "  cannot connect with [redacted] to my-app-releases\n", "→ Give what it needs with --env-file", "left out, since the rehearsal has a bucket of its own: BUCKET_NAME"}},
		"it has another VM":   {[]string{"--old", dies, "--new", other}, 1, []string{"different Erlang VMs, 14 and 15: only a cold deploy"}},
		"it hangs":            {[]string{"--old", hangs, "--new", dies, "--boot-timeout", "1"}, 1, []string{"my_app has not booted within 1s", "  waiting for a database\n", "--boot-timeout"}},
		"no env file":         {[]string{"--old", dies, "--new", dies, "--env-file", "none"}, 1, []string{"read the environment of none: no such file", "--env-file"}},
		"a broken env file":   {[]string{"--old", dies, "--new", dies, "--env-file", broken}, 1, []string{".env.test:2 is no line NAME=VALUE"}},
		"no release":          {[]string{"--old", filepath.Dir(env), "--new", dies}, 1, []string{"holds no release", "mix release"}},
		"no registry":         {[]string{"--old", "127.0.0.1:1/my-app:v1", "--new", dies}, 1, []string{"connection refused", "docker cp"}},
		"no second release":   {[]string{"--old", dies}, 2, []string{"--old and --new", "flydeploy rehearse --help"}},
		"what has no use":     {[]string{"--old", dies, "--new", dies, "--or-cold"}, 2, []string{"--or-cold has no meaning here"}},
		"unknown isolation":   {[]string{"--old", dies, "--new", dies, "--isolation", "foo"}, 2, []string{`not "foo"`}},
		"a log of no traffic": {[]string{"--old", dies, "--new", dies, "--traffic-log", "x"}, 2, []string{"--traffic"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := t.TempDir()
			out, errs, code := run(t, t.TempDir(), []string{"XDG_CACHE_HOME=" + cache}, append([]string{"rehearse", "--yes", "--machines", "2"}, test.args...)...)
			if code != test.code {
				t.Errorf("exit %d, want %d\n%s%s", code, test.code, out, errs)
			}
			for _, want := range test.says {
				if !strings.Contains(errs, want) {
					t.Errorf("%q is not in\n%s", want, errs)
				}
			}
			if strings.Contains(out+errs, "very-secret") {
				t.Errorf("a secret is shown:\n%s%s", out, errs)
			}
			if boots := strings.HasPrefix(name, "it "); strings.Contains(errs, "booting") != boots {
				t.Errorf("it boots, though that is of no use:\n%s", errs)
			}
			leavesNothing(t, cache)
		})
	}
}

// foreignVM is the header of a program for Linux on IBM's Z.
const foreignVM = "\x7fELF\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x02\x00\x16\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x40\x00\x38\x00\x00\x00\x40\x00\x00\x00\x00"

// What reads the output in CI is told how a rehearsal has ended that has come to nothing, in the form that it asked for.
func TestARehearsalThatComesToNothingInCI(t *testing.T) {
	t.Parallel()
	env := filepath.Join(t.TempDir(), ".env.test")
	write(t, env, "SECRET_KEY=very-secret\n")
	dies := shellRelease(t, `echo "no database for $SECRET_KEY"; exit 3`)
	for format, wants := range map[string][]string{
		"json":     {`{"v":1,"type":"rehearsal","outcome":"failed","machines_total":1,"problem":{`, `ended with exit status 3 while it booted`, `no database for [redacted]`},
		"markdown": {"### ✗ rehearsal on 1 machine: failed; nothing was upgraded\n", "**Why**: machine ", "ended with exit status 3 while it booted", "no database for "},
	} {
		out, errs, code := run(t, t.TempDir(), []string{"XDG_CACHE_HOME=" + t.TempDir()}, "rehearse", "--yes", "--machines", "1", "--old", dies, "--new", dies, "--env-file", env, "--output", format)
		if code != 1 || strings.Contains(out+errs, "very-secret") {
			t.Errorf("%s: exit %d\n%s", format, code, errs)
		}
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in\n%s", format, want, out)
			}
		}
	}
}

// An application with Ecto boots without its database. It is told that it has none before anything is upgraded.
func TestARehearsalThatDoesNotReachADatabase(t *testing.T) {
	t.Parallel()
	lonely := shellRelease(t, "")
	write(t, filepath.Join(lonely, "bin/my_app"), `#!/bin/sh
if [ "$1" = rpc ]; then echo "flydeploy: booted"; exit; fi
echo "12:00:00.000 [error] Postgrex.Protocol (#PID<0.200.0>) failed to connect: ** (DBConnection.ConnectionError) tcp connect ($DATABASE_HOST): non-existing domain - :nxdomain"
exec sleep 1000
`)
	env := filepath.Join(t.TempDir(), ".env.test")
	write(t, env, "DATABASE_HOST=db.very-secret.example\n")
	cache := t.TempDir()
	_, errs, code := run(t, t.TempDir(), []string{"XDG_CACHE_HOME=" + cache}, "rehearse", "--yes", "--machines", "1", "--old", lonely, "--new", lonely, "--env-file", env, "--isolation", "processes")
	want := "does not reach its database, and what needs it fails: 12:00:00.000 [error] Postgrex.Protocol (#PID<0.200.0>) failed to connect: ** (DBConnection.ConnectionError) tcp connect ([redacted]): non-existing domain"
	if code != 1 || !strings.Contains(errs, want) || !strings.Contains(errs, "→ Start one that --env-file names.\n") || strings.Contains(errs, "very-secret") {
		t.Errorf("exit %d\n%s", code, errs)
	}
	leavesNothing(t, cache)
}

// Ended by a signal while the release boots, Ctrl-C's or CI's, it leaves nothing either.
func TestARehearsalThatIsEnded(t *testing.T) {
	t.Parallel()
	hangs := shellRelease(t, "exec sleep 1000")
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cache := t.TempDir()
		cmd := exec.Command(binary(t), "rehearse", "--old", hangs, "--new", hangs, "--yes")
		cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "XDG_CACHE_HOME="+cache)
		errs, err := cmd.StderrPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(errs); lines.Scan(); {
			if strings.Contains(lines.Text(), "booting my_app 1.2.3 on 2 machines") {
				_ = cmd.Process.Signal(signal) // it waits, and has not ended
			}
		}
		_ = cmd.Wait() // told by its exit code
		if code := cmd.ProcessState.ExitCode(); code != 130 {
			t.Errorf("%s: exit %d", signal, code)
		}
		leavesNothing(t, cache)
	}
}

// aRegistry wants a login, and has an image of a release with an ENV. It gives its name, and what docker's configuration is to be.
func aRegistry(t *testing.T, app, release string, env ...string) (image, docker string) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("images for Fly are read for linux/amd64")
	}
	registry, err := local.Start(t.Context(), local.Options{App: app, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := registry.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := registry.Push(t.Context(), release, "v1", env...); err != nil {
		t.Fatal(err)
	}
	host, docker := strings.TrimPrefix(registry.RegistryURL(), "http://"), t.TempDir()
	login := base64.StdEncoding.EncodeToString([]byte("x:" + registry.Token()))
	write(t, filepath.Join(docker, "config.json"), fmt.Sprintf(`{"auths": {"%s": {"auth": "%s"}}}`, host, login))
	return host + "/" + app + ":v1", "DOCKER_CONFIG=" + docker
}

// What an image's ENV says counts, below fly.toml's [env] and the file.
func TestARehearsalOfAnImageWithAnEnvironment(t *testing.T) {
	t.Parallel()
	image, docker := aRegistry(t, "my-app", shellRelease(t, `echo "$PWD: a $A, b $B, c $C, the bucket $BUCKET_NAME, $API_TOKEN"; exit 3`),
		"A=image", "B=image", "C=image", "BUCKET_NAME=the-real-one", "PATH=/none", "API_TOKEN=hunter2000")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "fly.toml"), "app = \"my-app\"\n[env]\nB = \"toml\"\n")
	write(t, filepath.Join(dir, ".env.test"), "C=file\n")
	out, errs, code := run(t, dir, []string{"XDG_CACHE_HOME=" + t.TempDir(), docker}, "rehearse", "--old", image, "--new", image, "--env-file", ".env.test", "--machines", "1", "--yes")
	for _, want := range []string{"a image, b toml, c file, the bucket my-app-releases, [redacted]\n", "left out, since the rehearsal has a bucket of its own: BUCKET_NAME\n"} {
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("exit %d, %q is not in\n%s%s", code, want, out, errs)
		}
	}
}

// fliesAsLaunched is a copy of a release whose env.sh is the one that `fly launch` makes for Phoenix.
func fliesAsLaunched(t *testing.T, release string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "release")
	if out, err := exec.Command("cp", "-a", release, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "releases", "*", "env.sh"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	write(t, found[0], `#!/bin/sh

# configure node for distributed erlang with IPV6 support
export ERL_AFLAGS="-proto_dist inet6_tcp"
export ECTO_IPV6="true"
export DNS_CLUSTER_QUERY="${FLY_APP_NAME}.internal"
export RELEASE_DISTRIBUTION="name"
export RELEASE_NODE="${FLY_APP_NAME}-${FLY_IMAGE_REF##*-}@${FLY_PRIVATE_IP}"
`)
	return dir
}

// The nodes of `fly launch`, over IPv6, in a network of their own and side by side: forth and back.
func TestARehearsalOfNodesAsFlyNamesThem(t *testing.T) {
	if os.Getenv("FLYDEPLOY_SOAK") == "" {
		t.Skip("takes minutes: make soak")
	}
	old, upgrade := fliesAsLaunched(t, countertest.Release(t, 1)), fliesAsLaunched(t, countertest.Release(t, 2))
	for _, isolation := range []string{"auto", "processes"} {
		env, cache := afterADeploy(t)
		out, errs, code := run(t, t.TempDir(), []string{env}, "rehearse", "--old", old, "--new", upgrade, "--isolation", isolation, "--accept", "slow_rollback", "--bake", "2", "--boot-timeout", "5m",
			"--timeout", "10m", "--traffic", `while sleep 0.1; do curl -fsS "$FLYDEPLOY_URL/health" || exit 1; done`, "--yes")
		if want := "rehearsal of 1.0.0 → 2.0.0 on 2 machines: succeeded; the upgrade succeeded, taking it back succeeded; the traffic ran all the while"; code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d\n%s%s", isolation, code, out, errs)
		}
		leavesNothing(t, filepath.Dir(cache))
	}
}

// An image of the sample in a registry that wants a login, and the next release in a folder: forth and back, with traffic.
func TestARehearsalOfTheSample(t *testing.T) {
	if os.Getenv("FLYDEPLOY_SOAK") == "" {
		t.Skip("takes minutes: make soak")
	}
	image, docker := aRegistry(t, "counter", countertest.Release(t, 1), "COUNTERS=50")
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".env.test"), "SECRET_KEY=very-secret\n")
	env, cache := afterADeploy(t)
	for name, test := range map[string]struct {
		new     int
		traffic string
		code    int
		last    string
	}{
		"forth and back":      {2, `while sleep 0.1; do curl -fsS "$FLYDEPLOY_URL/health" || exit 1; done`, 0, `"outcome":"succeeded","old":"1.0.0","new":"2.0.0","machines_total":2,"upgrade":"succeeded","back":"succeeded","traffic":{"outcome":"succeeded","early":false,"log":"traffic.log"}}`},
		"traffic that fails":  {2, `curl -fsS "$FLYDEPLOY_URL/none"`, 1, `"outcome":"failed","old":"1.0.0","new":"2.0.0","machines_total":2,"upgrade":"succeeded","back":"succeeded","traffic":{"outcome":"failed","early":true,"log":"traffic.log"},"problem":`},
		"blocked by its plan": {4, `sleep 1000`, 3, `"outcome":"blocked","old":"1.0.0","new":"4.0.0","machines_total":2,"upgrade":"blocked","traffic":{"outcome":"succeeded","early":false,"log":"traffic.log"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := run(t, dir, []string{env, docker}, "rehearse", "--old", image, "--new", countertest.Release(t, test.new),
				"--env-file", ".env.test", "--accept", "slow_rollback", "--bake", "2", "--boot-timeout", "5m", "--traffic", test.traffic, "--traffic-log", "traffic.log", "--yes", "--output", "json")
			if code != test.code {
				t.Fatalf("exit %d, want %d\n%s%s", code, test.code, errs, out)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if last := lines[len(lines)-1]; !strings.HasPrefix(last, `{"v":1,"type":"rehearsal",`) || !strings.Contains(last, test.last) {
				t.Errorf("the last line is %s", last)
			}
			results := 0
			for _, text := range lines {
				var l line
				if err := json.Unmarshal([]byte(text), &l); err != nil {
					t.Errorf("%s: %v", text, err)
				}
				if l.Type == "result" {
					results++
				}
			}
			if want := map[int]int{2: 2, 4: 1}[test.new]; results != want {
				t.Errorf("%d results, want %d", results, want)
			}
			if strings.Contains(out+errs, "very-secret") {
				t.Error("a secret is shown")
			}
			leavesNothing(t, filepath.Dir(cache))
		})
	}
}
