package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mixProject is an application that has the package, configured as fly_deploy's README says, with a bucket and what more it is given.
func mixProject(t *testing.T, bucket, more string) string {
	dir := t.TempDir()
	elixir, err := filepath.Abs("../elixir")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "mix.exs"), `defmodule Mine.MixProject do
  use Mix.Project
  def project, do: [app: :mine, version: "1.0.0", deps: [{:fly_deploy, path: `+"\""+elixir+"\""+`}]]
end
`)
	for _, folder := range []string{"config", "lib"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "config", "config.exs"), `import Config

config :fly_deploy,
  bucket: "`+bucket+`",
  max_concurrency: 10,
  suspend_timeout: 15_000,
  env: %{"CUSTOM_VAR" => "value"},
  `+more+`
`)
	write(t, filepath.Join(dir, "lib", "mine.ex"), "defmodule Mine do\nend\n")
	return dir
}

// mix runs a task with the binary in the place of PATH's, and gives what it said and its exit code.
func mix(t *testing.T, dir string, env []string, args ...string) (string, int) {
	cmd := exec.CommandContext(t.Context(), "mix", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "FLYDEPLOY="+binary(t), "MIX_BUILD_PATH="+filepath.Join(dir, "build"),
		"FLY_APP=", "MIX_HOME="+dir)
	cmd.Env = append(cmd.Env, env...)
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(said), cmd.ProcessState.ExitCode()
}

// The binary takes every option that fly_deploy's task has, and what its Mix configuration leads to: it gets as far as
// fly.toml, which is missing, in the task's exit code too.
func TestMixTasksCallTheBinary(t *testing.T) {
	dir := mixProject(t, "my-releases", "timeout: 30_000")
	const missing = "other.toml"
	for _, try := range []struct {
		args []string
		says string
		code int
	}{
		{[]string{"fly_deploy.hot", "--config", missing, "--bucket", "mine", "--skip-build", "--image", "registry.fly.io/a:b", "--dry-run", "--force",
			"--lock-timeout", "600", "--build-arg", "A=b", "--no-cache", "--buildkit", "--max-concurrency", "5", "--timeout", "30000", "--mode", "hot"}, missing, 1},
		{[]string{"fly_deploy.hot", "--lock-timeout", "60"}, "at least 120", 2},
		{[]string{"fly_deploy.status", "--config", missing}, missing, 1},
	} {
		said, code := mix(t, dir, nil, try.args...)
		if code != try.code || !strings.Contains(said, "flydeploy: ") || !strings.Contains(said, try.says) {
			t.Errorf("mix %s: exit code %d, want %d and %q:\n%s", strings.Join(try.args, " "), code, try.code, try.says, said)
		}
	}
}

// fly_deploy's README by mix, as its user has it: the quick start, each example and option, and what its configuration leads to, on machines.
func TestTheReadmeOfFlyDeployOnTheLocalFly(t *testing.T) {
	if os.Getenv("FLYDEPLOY_SOAK") == "" {
		t.Skip("takes minutes: make soak")
	}
	o := newOperated(t, 1)
	dir := mixProject(t, "counter-releases", "otp_app: :counter")
	write(t, filepath.Join(dir, "fly.toml"), "app = 'counter'\n[env]\nAWS_REGION = 'auto'\nAWS_BUCKET = 'not-this-one'\n")
	write(t, filepath.Join(dir, "fly-staging.toml"), "app = 'counter'\n")
	env := append(o.env, "FLYCTL="+script(t, `echo "built with: $*"; printf 'image: `+o.image+`\n' >&2; echo 'image size: 52 MB' >&2`))
	image := []string{"--skip-build", "--image", o.image}
	// Under load a plan warns of a slow rollback. Nothing else is asked for that the library does not have.
	risks := []string{"--accept", "slow_rollback"}
	for _, try := range []struct {
		args []string
		code int
		says []string
		not  string
	}{
		{args: []string{"fly_deploy.status"}, says: []string{"app counter", "none, the machines run their image", o.ids[0]}},
		{args: []string{"fly_deploy.hot", "--dry-run"}, says: []string{"built with: deploy --build-only --push", "from 1.0.0 to 2.0.0"}},
		{args: []string{"fly_deploy.hot", "--dry-run", "--config", "fly-staging.toml", "--build-arg", "A=b", "--no-cache", "--buildkit"}, says: []string{"--config fly-staging.toml --build-arg A=b --no-cache"}},
		{args: []string{"fly_deploy.hot", "--bucket", "none-such"}, code: 1, says: []string{"s3://none-such/"}},
		{args: append([]string{"fly_deploy.hot"}, append(image, risks...)...), says: []string{"bucket counter-releases at", "counter 2.0.0: succeeded, 1 of 1 machine"}, not: "built with"},
		{args: []string{"fly_deploy.status", "--config", "fly-staging.toml"}, says: []string{"hot upgrade: 2.0.0", "applied"}},
		{args: append([]string{"fly_deploy.hot", "--force", "--lock-timeout", "300", "--max-concurrency", "1", "--timeout", "300000", "--mode", "hot"}, image...), says: []string{"1 of 1 machine"}},
	} {
		said, code := mix(t, dir, env, try.args...)
		for _, want := range try.says {
			if !strings.Contains(said, want) {
				t.Errorf("mix %s: no %q", strings.Join(try.args, " "), want)
			}
		}
		if code != try.code || try.not != "" && strings.Contains(said, try.not) || t.Failed() {
			t.Fatalf("mix %s: exit code %d, want %d\n%s", strings.Join(try.args, " "), code, try.code, said)
		}
		o.expectNoSecret(t, said)
	}
}
