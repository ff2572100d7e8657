package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// inspectedMsg brings a look at the fleet with the VMs' answers.
type inspectedMsg struct {
	overview engine.Overview
	err      error
}

// inspect asks every VM for its code, unless it is doing so already.
func (c *console) inspect() tea.Cmd {
	if c.fleet.asking {
		c.tell("The VMs are being asked: not all have answered yet")
		return nil
	}
	c.fleet.asking = true
	c.tell("Asking every VM for its code...")
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		o, err := c.opts.Backend.Inspect(ctx)
		return inspectedMsg{o, err}
	})
}

func (c *console) onInspected(m inspectedMsg) {
	f := c.fleet
	f.asking, c.stale = false, true
	if m.err != nil {
		c.say("The VMs could not be asked: " + m.err.Error())
		return
	}
	code, vitals, differ := view.Answers(m.overview, c.now)
	f.Code = code
	for id, v := range vitals {
		f.tell(id, v)
	}
	f.look(overviewMsg{overview: m.overview}, c.now)
	said := c.tell
	if differ > 0 {
		said = c.say
	}
	said(view.Asked(len(code), differ))
}

// codeLines explain a VM's answer.
func (f *fleet) codeLines(m engine.Machine, now time.Time, w int) []cells.Line {
	code, asked := f.CodeOf(m)
	if !asked {
		return nil
	}
	lines := []cells.Line{nil, cells.Fact("asked", view.Ago(now.Sub(code.At)), w)}
	tell := func(text string) { lines = append(lines, cells.Paragraph(cells.Warn, text, w)...) }
	switch {
	case code.Problem != nil:
		return append(lines, view.Problem(code.Problem, w)...)
	case code.Stale:
		tell("The record names an upgrade that this VM has not loaded: " + code.Behind() + ". To upgrade it now, deploy to it, or restart it.")
	}
	if code.Drift > 0 {
		tell(text.Counted(code.Drift, "loaded module") + " differ from their files on disk: " + view.Listed(code.Drifted, 3*w))
	}
	if code.HookProblem != nil {
		tell("Startup hook: " + code.HookProblem.What)
	}
	for _, p := range code.Undone {
		lines = append(lines, view.Problem(p, w)...)
	}
	if code.Fingerprint != "" {
		lines = append(lines, cells.Fact("code", code.Fingerprint, w))
	}
	return lines
}
