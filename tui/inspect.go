package tui

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
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
		o, err := c.opts.Inspect(ctx)
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
	c.say(fmt.Sprintf("%s asked, %s of them with other code than recorded, or without an answer", counted(len(f.code), "VM"), count(differ)))
}

// codeOf is what the VM of this instance of a machine said.
func (f *fleet) codeOf(m engine.Machine) (inspected, bool) {
	code, asked := f.code[m.ID]
	return code, asked && code.instance == m.InstanceID
}

// codeDrift is how a VM's code differs from the record and from its disk; false where it was not asked.
func (f *fleet) codeDrift(m engine.Machine) (span, bool) {
	code, asked := f.codeOf(m)
	switch {
	case !asked:
		return span{}, false
	case code.Problem != nil:
		return span{text: "? no answer", tone: toneWarn}, true
	case code.Stale:
		return span{text: "! stale code", tone: toneWarn}, true
	case code.Drift > 0:
		return sp(toneWarn, "! "+counted(code.Drift, "module")+" unlike disk"), true
	case !code.Hook.Works():
		return span{text: "! no hook", tone: toneWarn}, true
	}
	return span{text: "✓ none", tone: toneOK}, true
}

// codeLines explain a VM's answer.
func (f *fleet) codeLines(m engine.Machine, now time.Time, w int) []line {
	code, asked := f.codeOf(m)
	if !asked {
		return nil
	}
	lines := []line{nil, fact("asked", ago(now.Sub(code.at)), w)}
	tell := func(text string) { lines = append(lines, paragraph(toneWarn, text, w)...) }
	switch {
	case code.Problem != nil:
		return append(lines, problemLines(code.Problem, w)...)
	case code.Stale:
		tell("The record names an upgrade that this VM has not loaded: it woke from a suspension, or its startup hook is missing or failed. Deploy to it, or restart it.")
	}
	if code.Drift > 0 {
		tell(counted(code.Drift, "loaded module") + " unlike the file on disk: " + listed(code.Drifted, 3*w))
	}
	if code.HookProblem != nil {
		tell("Startup hook: " + code.HookProblem.What)
	}
	if code.Fingerprint != "" {
		lines = append(lines, fact("code", code.Fingerprint, w))
	}
	return lines
}
