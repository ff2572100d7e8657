package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mixProject is an application that has the package, configured as fly_deploy's README says.
func mixProject(t *testing.T) string {
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
  bucket: "my-releases",
  max_concurrency: 10,
  suspend_timeout: 15_000,
  timeout: 30_000,
  env: %{"CUSTOM_VAR" => "value"}
`)
	write(t, filepath.Join(dir, "lib", "mine.ex"), "defmodule Mine do\nend\n")
	return dir
}

// mix runs a task with the binary in the place of PATH's, and gives what it said and its exit code.
func mix(t *testing.T, dir string, args ...string) (string, int) {
	cmd := exec.CommandContext(t.Context(), "mix", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "FLYDEPLOY="+binary(t), "MIX_BUILD_PATH="+filepath.Join(dir, "build"),
		"FLY_APP=", "MIX_HOME="+dir)
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(said), cmd.ProcessState.ExitCode()
}

// The binary takes every option that fly_deploy's task has, and what its Mix configuration leads to: it gets as far as
// fly.toml, which is missing, in the task's exit code too.
func TestMixTasksCallTheBinary(t *testing.T) {
	dir := mixProject(t)
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
		said, code := mix(t, dir, try.args...)
		if code != try.code || !strings.Contains(said, "flydeploy: ") || !strings.Contains(said, try.says) {
			t.Errorf("mix %s: exit code %d, want %d and %q:\n%s", strings.Join(try.args, " "), code, try.code, try.says, said)
		}
	}
}
