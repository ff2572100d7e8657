package tui

import (
	"context"
	"errors"
	"io"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/plain"
)

// visitMsg brings what is to be opened on a machine, and visitedMsg how it has ended.
type visitMsg struct {
	visit plain.Visit
	what  string
	waits *dialog
	err   error
}

type visitedMsg struct {
	what string
	err  error
}

// visit looks up how to open a shell on a machine, or an IEx in its VM.
func (c *console) visit(machine string, iex bool) tea.Cmd {
	what := "A shell on " + machine
	if iex {
		what = "IEx on " + machine
	}
	waits := &dialog{title: what, tone: cells.Active, body: said("Looking at the machine..."), buttons: []button{{label: "Cancel"}}}
	c.dialog = waits
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		visit, err := c.opts.Terminal(ctx, machine, iex)
		return visitMsg{visit, what, waits, err}
	})
}

// visit opens one on the machine under the cursor.
func (f *fleet) visit(c *console, iex bool) tea.Cmd {
	switch m, there := f.current(); {
	case !there:
		return nil
	case m.State != engine.StateStarted:
		c.say(m.ID + " is " + string(m.State) + ": it has no shell")
		return nil
	default:
		return c.visit(m.ID, iex)
	}
}

// onVisit hands the terminal over, unless that is not wanted any more.
func (c *console) onVisit(m visitMsg) tea.Cmd {
	if c.dialog != m.waits {
		return nil
	}
	c.dialog, c.stale = nil, true
	if m.err != nil {
		c.dialog = problemDialog(m.what, engine.AsProblem(m.err))
		return nil
	}
	return tea.Exec(&visitor{visit: m.visit, painter: c.painter}, func(err error) tea.Msg { return visitedMsg{m.what, err} })
}

func (c *console) onVisited(m visitedMsg) tea.Cmd {
	c.stale = true
	if crash := (*CrashError)(nil); errors.As(m.err, &crash) {
		c.crash = crash
		return nil
	}
	if m.err != nil {
		c.dialog = problemDialog(m.what, engine.AsProblem(m.err))
	} else {
		c.tell(m.what + " has ended")
	}
	if c.top() == screen(c.fleet) {
		return c.lookNow()
	}
	return nil
}

// visitor is a visit as Bubble Tea runs it: with the terminal that the console had.
type visitor struct {
	visit   plain.Visit
	painter *painter // which Bubble Tea knows nothing of
	in      io.Reader
	errs    io.Writer
}

// Run implements tea.ExecCommand. A bug in it ends the console as any other, with the terminal restored.
func (v *visitor) Run() (err error) {
	defer func() {
		if crash := caught(recover()); crash != nil {
			err = crash
		}
	}()
	v.painter.leave()
	return v.visit.Run(v.in, v.painter.out, v.errs)
}

// SetStdin implements tea.ExecCommand.
func (v *visitor) SetStdin(r io.Reader) { v.in = r }

// SetStdout implements tea.ExecCommand.
func (v *visitor) SetStdout(io.Writer) {}

// SetStderr implements tea.ExecCommand.
func (v *visitor) SetStderr(w io.Writer) { v.errs = w }
