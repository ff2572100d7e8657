package plain

import (
	"context"
	"io"

	"flydeploy/engine"
	"flydeploy/tui/prompt"
	"flydeploy/tui/view"
)

// Visit is a program that has the terminal in the console's place, until it ends. In a console with a screen a deploy goes on meanwhile.
type Visit interface {
	Run(in io.Reader, out, errs io.Writer) error
}

// visitChoices open a program on a machine; none where nothing may be changed.
func (a *accessible) visitChoices(f *view.Fleet) []choice {
	if a.o.Terminal == nil {
		return nil
	}
	return []choice{
		{"Shell on a machine", func(ctx context.Context) bool { return a.visit(ctx, f, "A shell", false) }},
		{"IEx in a machine's VM", func(ctx context.Context) bool { return a.visit(ctx, f, "IEx", true) }},
	}
}

// visit asks for a machine, and hands the terminal over until what was opened there ends.
func (a *accessible) visit(ctx context.Context, f *view.Fleet, what string, iex bool) bool {
	typed, ok := a.ask(ctx, "Number of the machine; Enter alone goes back:")
	if !ok || typed == "" {
		return ok
	}
	m, there := a.machineNumbered(f, typed)
	switch {
	case !there:
		return true
	case m.State != engine.StateStarted:
		a.print("%s is %s: it has no shell.\n", m.ID, m.State)
		return true
	}
	a.print("Looking at the machine.\n")
	opened, err := a.o.Terminal(ctx, m.ID, iex)
	if err == nil {
		a.print("%s on %s. When it ends, this console goes on.\n", what, m.ID)
		err = a.handOver(opened)
	}
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return ctx.Err() == nil
	}
	a.print("%s on %s has ended.\n", what, m.ID)
	return ctx.Err() == nil
}

// handOver gives a program the input, which is not read here meanwhile.
func (a *accessible) handOver(v Visit) error {
	a.stop()
	defer func() { a.answers, a.stop = prompt.Lines(a.o.Input) }()
	return v.Run(a.o.Input, a.o.Output, a.o.Output)
}
