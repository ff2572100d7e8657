package fly

import (
	"context"
	"fmt"

	"flydeploy/engine"
)

var _ engine.Cold = Builder{}.Cold

// Cold implements engine.Cold by `fly deploy --image`, with the strategy and checks of fly.toml. When ctx ends, flyctl is interrupted,
// as in Build. Flags that were passed on are those of a build, and have no part in it.
func (b Builder) Cold(ctx context.Context, image string, log func(line string)) error {
	flyctl, err := findFlyctl()
	if err != nil {
		return err
	}
	args := []string{"deploy", "--image", image}
	for _, flag := range []struct{ name, value string }{{"--app", b.App}, {"--config", b.Config}} {
		if flag.value != "" {
			args = append(args, flag.name, flag.value)
		}
	}
	output := &buildOutput{log: log}
	err = b.run(ctx, flyctl, args, output)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s deploy --image: %w", flyctl, context.Cause(ctx))
	case err != nil:
		what := fmt.Sprintf("%s deploy --image failed (%v)", flyctl, err)
		if output.last != "" {
			what += ": " + output.last
		}
		return engine.NewProblem("cold_failed", what, nil, engine.Remedies["cold_failed"])
	}
	return nil
}
