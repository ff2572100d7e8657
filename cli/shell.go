package cli

import (
	"context"
	"io"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/target"
	"flydeploy/fly"
	"flydeploy/tui/plain"
)

// terminal opens a shell on a machine, or an IEx in its VM, which says itself where its release lies.
func (c *connection) terminal(ctx context.Context, machine string, iex bool) (plain.Visit, error) {
	if c.passing {
		return nil, engine.NewProblem("demo", "the demo's machines are processes on this computer: `fly ssh console` reaches none of them", nil,
			"On an app at Fly it opens here, and the console comes back when it ends.")
	}
	token, _, err := fly.Token()
	if err != nil {
		return nil, err
	}
	container, err := c.fleet.Container(ctx, machine)
	if err != nil {
		return nil, err
	}
	open := fly.Terminals{App: c.app.name, Token: token}
	if !iex {
		return c.visit(open.Shell(ctx, machine, container))
	}
	vm, err := agent.Discover(ctx, target.ExecOn(c.fleet, machine), c.app.release)
	switch {
	case err != nil:
		return nil, err
	case vm.Distribution == "none":
		return nil, engine.NewProblem("no_distribution", "the VM cannot be reached by another one: RELEASE_DISTRIBUTION is none", nil, engine.Remedies["no_distribution"])
	}
	return c.visit(open.IEx(ctx, machine, container, vm.Root, vm.Name))
}

func (c *connection) visit(t *fly.Terminal, err error) (plain.Visit, error) {
	if err != nil {
		return nil, err
	}
	return visit{t, c.signals}, nil
}

// visit is a program that has the terminal, and its ctrl-c.
type visit struct {
	terminal *fly.Terminal
	signals  *interrupts
}

// Run implements plain.Visit.
func (v visit) Run(in io.Reader, out, errs io.Writer) error {
	defer v.signals.leaveKeys()()
	return v.terminal.Run(in, out, errs)
}
