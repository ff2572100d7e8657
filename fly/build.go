package fly

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"flydeploy/engine"
	"flydeploy/fly/command"
)

// Builder makes images with `fly deploy --build-only --push`.
type Builder struct {
	App        string   // "" stands for the app named in the configuration
	Config     string   // the path of fly.toml; "" stands for ./fly.toml
	BuildArgs  []string // NAME=VALUE
	NoCache    bool
	Buildkit   bool
	Depot      string // auto, true or false; "" stands for flyctl's default
	ImageLabel string // the image's tag; "" lets flyctl choose deployment-ULID

	// Passed are more of flyctl's flags, as they are given to `fly deploy`: see CheckPassed. They may hold secrets of the build.
	Passed []string
	// Token is the token that flyctl uses; "" leaves it to flyctl, which asks for a new login 30 days after the last one.
	Token string
	// Prebuilt is an image that is used instead of a build, as [build] image of fly.toml names it.
	Prebuilt string

	registry string // "" stands for Fly's; tests have another
}

var _ engine.Build = Builder{}.Build

// interruptGrace is how long flyctl may take to end after an interrupt.
const interruptGrace = 5 * time.Second

// Build implements engine.Build. When ctx ends, flyctl and every process that it started are interrupted, and then killed.
func (b Builder) Build(ctx context.Context, log func(line string)) (string, error) {
	if b.Prebuilt != "" {
		return b.prebuilt(ctx, log)
	}
	flyctl, err := findFlyctl()
	if err != nil {
		return "", err
	}
	output := &buildOutput{log: log}
	err = b.run(ctx, flyctl, b.args(), output)
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s deploy --build-only: %w", flyctl, context.Cause(ctx))
	case err != nil:
		return "", explainExit(flyctl, err, output.last)
	case output.image == "":
		return "", engine.NewProblem("no_image", flyctl+" deploy --build-only did not print a line that begins with `image:`", nil,
			"Update flyctl with `fly version upgrade`, or name an image with --skip-build --image.")
	}
	return output.image, nil
}

func (b Builder) run(ctx context.Context, flyctl string, args []string, output *buildOutput) error {
	cmd := exec.CommandContext(ctx, flyctl, args...)
	cmd.Env = append(flyctlEnviron(b.Token), "NO_COLOR=1")
	return command.Run(ctx, cmd, interruptGrace, output.line)
}

func (b Builder) args() []string {
	args := []string{"deploy", "--build-only", "--push"}
	if !choosesBuilder(b.Passed) {
		args = append(args, "--remote-only")
	}
	for _, flag := range []struct{ name, value string }{
		{"--app", b.App}, {"--config", b.Config}, {"--image-label", b.ImageLabel},
	} {
		if flag.value != "" {
			args = append(args, flag.name, flag.value)
		}
	}
	for _, arg := range b.BuildArgs {
		args = append(args, "--build-arg", arg)
	}
	if b.NoCache {
		args = append(args, "--no-cache")
	}
	if b.Buildkit {
		args = append(args, "--buildkit")
	}
	if b.Depot != "" {
		args = append(args, "--depot="+b.Depot)
	}
	return append(args, b.Passed...)
}

// buildOutput finds the image in flyctl's output, which names it on a line of its own on stderr.
type buildOutput struct {
	log   func(line string)
	image string
	last  string // the last line that reports an error, or else the last line
}

func (o *buildOutput) line(line string) {
	o.log(line)
	if ref, ok := strings.CutPrefix(line, "image:"); ok {
		ref = strings.TrimSpace(ref)
		if _, err := name.ParseReference(ref, name.StrictValidation); err == nil {
			o.image = ref
		}
	}
	if strings.HasPrefix(line, "Error") || !strings.HasPrefix(o.last, "Error") {
		o.last = line
	}
}

func explainExit(flyctl string, err error, last string) error {
	what := flyctl + " deploy --build-only"
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return engine.NewProblem("no_flyctl", what, err, "Check that flyctl is installed and that FLYCTL, if it is set, names it.")
	}
	switch exit.ExitCode() {
	case 126:
		what += " timed out (exit code 126)"
	case 127:
		what += " was interrupted (exit code 127)"
	default:
		what += fmt.Sprintf(" failed (%v)", exit)
	}
	if last != "" {
		what += ": " + last
	}
	return engine.NewProblem("build_failed", what, nil, "Read the build's output above, fix the cause, and run again.")
}
