// Package hooks runs the operator's commands at the moments of a deploy, and posts its outcome: engine.Hooks, as [hooks] and [notify] of
// flydeploy.toml say.
package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
	"flydeploy/fly/command"
	"flydeploy/text"
)

// DefaultTimeout is how long a command may take that has no limit of its own, EndedTimeout how long that of the deploy's end may, for its
// record says "running" meanwhile; MaxTimeout is what such a limit may be at most.
const (
	DefaultTimeout = time.Minute
	EndedTimeout   = 30 * time.Second
	MaxTimeout     = 10 * time.Minute
)

// grace is how long a command may take to end after an interrupt.
const grace = time.Second

// Hooks implements engine.Hooks.
type Hooks struct {
	Dir      string // where commands run
	Commands map[engine.Moment]string
	Timeouts map[engine.Moment]time.Duration // DefaultTimeout or EndedTimeout where it has none
	Notify   *Notify                         // nil: the outcome is not posted

	client *http.Client // nil for the usual one; tests have another
}

var _ engine.Hooks = Hooks{}

// Run implements engine.Hooks. A command is a line for sh, with the event on its standard input, and FLYDEPLOY_HOOK in its environment.
// When its time is over, or ctx ends, it is ended with everything that it has started.
func (h Hooks) Run(ctx context.Context, e engine.MomentEvent, log func(line string)) error {
	line := h.Commands[e.Hook]
	if line == "" {
		return nil
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	last := ""
	begun := time.Now()
	log("running")
	err = run.Within(ctx, h.timeout(e.Hook), "", func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Dir, cmd.Stdin = h.Dir, bytes.NewReader(append(body, '\n'))
		cmd.Env = append(command.Environ(), "FLYDEPLOY_HOOK="+string(e.Hook))
		err := command.Run(ctx, cmd, grace, func(line string) {
			last = text.Redact(line)
			log(last)
		})
		if ctx.Err() != nil {
			return ctx.Err() // and not that it was killed
		}
		return err
	})
	if err == nil {
		log("done in " + text.Duration(time.Since(begun)))
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return failed(e.Hook, err, last)
}

func (h Hooks) timeout(m engine.Moment) time.Duration {
	if limit := h.Timeouts[m]; limit > 0 {
		return limit
	}
	if m == engine.MomentEnded {
		return EndedTimeout
	}
	return DefaultTimeout
}

// failed says how a command has failed, and what it printed last.
func failed(m engine.Moment, err error, last string) *engine.Problem {
	what := fmt.Sprintf("the hook %s: %s", m, engine.AsProblem(err).What)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		what = fmt.Sprintf("the hook %s failed (%s)", m, exit)
	}
	if last != "" {
		what += ": " + last
	}
	return engine.NewProblem("hook_failed", what, nil, fmt.Sprintf(
		"Fix what the command of %s in flydeploy.toml says, or give it more time ([hooks.timeouts]). --no-hooks deploys without any.", m))
}
