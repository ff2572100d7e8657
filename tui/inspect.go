package tui

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// inspected is what a machine's VM has said of its code. Another instance of the machine has not been asked.
type inspected struct {
	instance string
	at       time.Time
	engine.MachineCode
}

// inspectedMsg is a look with the VMs' answers.
type inspectedMsg struct {
	overview engine.Overview
	err      error
}

// inspect asks every VM for its code, once at a time.
func (c *console) inspect() tea.Cmd {
	if c.fleet.asking {
		return nil
	}
	c.fleet.asking = true
	c.say("Asking every VM for its code …")
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		o, err := c.opts.Backend.Inspect(ctx)
		return inspectedMsg{o, err}
	})
}

func (c *console) onInspected(m inspectedMsg) {
	f := c.fleet
	f.asking = false
	if m.err != nil {
		c.say("The VMs were not asked: " + m.err.Error())
		return
	}
	f.code = map[string]inspected{}
	differ := 0
	for _, machine := range m.overview.Machines {
		code, asked := m.overview.Code[machine.ID]
		if !asked {
			continue
		}
		f.code[machine.ID] = inspected{machine.InstanceID, c.now, code}
		if code.Stale || code.Drift > 0 || code.Problem != nil {
			differ++
		}
	}
	f.look(overviewMsg{overview: m.overview}, c.now)
	c.say(fmt.Sprintf("%s asked, %s of them with other code than recorded, or without an answer", text.Counted(len(f.code), "VM"), text.Count(differ)))
}

// codeOf is what the VM of this instance of a machine said.
func (f *fleet) codeOf(m engine.Machine) (inspected, bool) {
	code, asked := f.code[m.ID]
	return code, asked && code.instance == m.InstanceID
}

// codeDrift is how a VM's code differs from the record and from its disk; false where it was not asked.
func (f *fleet) codeDrift(m engine.Machine) (cells.Span, bool) {
	code, asked := f.codeOf(m)
	switch {
	case !asked:
		return cells.Span{}, false
	case code.Problem != nil:
		return cells.Span{Text: "? no answer", Tone: cells.Warn}, true
	case code.Stale:
		return cells.Span{Text: "! stale code", Tone: cells.Warn}, true
	case code.Drift > 0:
		return cells.New(cells.Warn, "! "+text.Counted(code.Drift, "module")+" unlike disk"), true
	case !code.Hook.Works():
		return cells.Span{Text: "! no hook", Tone: cells.Warn}, true
	}
	return cells.Span{Text: "✓ none", Tone: cells.OK}, true
}

// codeLines explain a VM's answer.
func (f *fleet) codeLines(m engine.Machine, now time.Time, w int) []cells.Line {
	code, asked := f.codeOf(m)
	if !asked {
		return nil
	}
	lines := []cells.Line{nil, cells.Fact("asked", ago(now.Sub(code.at)), w)}
	tell := func(text string) { lines = append(lines, cells.Paragraph(cells.Warn, text, w)...) }
	switch {
	case code.Problem != nil:
		return append(lines, problemLines(code.Problem, w)...)
	case code.Stale:
		tell("The record names an upgrade that this VM has not loaded: it woke from a suspension, or its startup hook is missing or failed. Deploy to it, or restart it.")
	}
	if code.Drift > 0 {
		tell(text.Counted(code.Drift, "loaded module") + " unlike the file on disk: " + listed(code.Drifted, 3*w))
	}
	if code.HookProblem != nil {
		tell("Startup hook: " + code.HookProblem.What)
	}
	if code.Fingerprint != "" {
		lines = append(lines, cells.Fact("code", code.Fingerprint, w))
	}
	return lines
}
