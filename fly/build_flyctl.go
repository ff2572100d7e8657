package fly

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/fly/command"
	"flydeploy/text"
)

// findFlyctl returns FLYCTL if it is set, or else the path of fly or flyctl.
func findFlyctl() (string, error) {
	if path := os.Getenv("FLYCTL"); path != "" {
		return path, nil
	}
	for _, name := range []string{"fly", "flyctl"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", engine.NewProblem("no_flyctl", "neither `fly` nor `flyctl` is installed", nil,
		"Install flyctl (https://fly.io/docs/flyctl/install/), set FLYCTL to its path, or name an image with --skip-build --image.")
}

// Flyctl returns the path of the flyctl that builds would use, and what it prints as its version.
func Flyctl(ctx context.Context) (path, version string, err error) {
	if path, err = findFlyctl(); err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, path, "version")
	cmd.Env = append(command.Environ(), "NO_COLOR=1", "FLY_NO_UPDATE_CHECK=1")
	cmd.WaitDelay = time.Second // a process that it leaves in the background may keep its output open
	out, err := cmd.Output()
	if err != nil {
		return path, "", engine.NewProblem("no_flyctl", path+" version", err, "Check that flyctl is installed and that FLYCTL, if it is set, names it.")
	}
	version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return path, text.Line(version), nil
}

// flyctlEnviron is the environment of flyctl. A token in FLY_ACCESS_TOKEN is used however old the login is.
func flyctlEnviron(token string) []string {
	env := command.Environ()
	if token == "" {
		return env
	}
	env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "FLY_API_TOKEN=") })
	return append(env, "FLY_ACCESS_TOKEN="+token)
}
