package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/plain"
)

// act is something that changes the lock or the record: first it is told what would change, and only the app's typed name, or a button
// that is not in focus, changes it.
type act struct {
	title  string
	button string // that changes it
	typed  bool   // only once the app's name was typed
	ask    func(context.Context) (plain.Change, error)
	waits  *dialog // shown until there is an answer
}

// askedMsg brings the question, and madeMsg what was done.
type askedMsg struct {
	act    act
	change plain.Change
	err    error
}

type madeMsg struct {
	act  act
	done string
	err  error
}

func (c *console) openWithdraw() tea.Cmd {
	message := newInput("")
	c.dialog = &dialog{
		title: "Withdraw the hot upgrade", tone: cells.Warn, fields: []field{{"message", message}},
		body: said("Takes the hot upgrade out of the record, so that machines run their image from their next start on. First you see what is recorded, and are asked.\n" +
			"The message says why; it goes into the record, and may be empty."),
		buttons: []button{{label: "Go on", act: func(c *console) tea.Cmd {
			return c.ask(act{title: "Withdraw the hot upgrade", button: "Withdraw", typed: true, ask: func(ctx context.Context) (plain.Change, error) {
				return c.opts.Acts.Withdraw(ctx, message.value())
			}})
		}}, {label: "Cancel"}},
	}
	return nil
}

func (c *console) openRelease() tea.Cmd {
	return c.ask(act{title: "Release the deploy lock", button: "Release", typed: true, ask: c.opts.Acts.Release})
}

func (c *console) openFreeze() tea.Cmd {
	why, end := newInput(""), newInput("1h")
	c.dialog = &dialog{
		title: "Freeze deploys", tone: cells.Warn, fields: []field{{"why", why}, {"until", end}},
		body: said("Keeps everybody from deploying, you included, and tells them why. The end is a time such as 2h, 18:00 or 2026-11-28 08:00."),
		buttons: []button{{label: "Go on", act: func(c *console) tea.Cmd {
			return c.ask(act{title: "Freeze deploys", button: "Freeze", ask: func(ctx context.Context) (plain.Change, error) {
				return c.opts.Acts.Freeze(ctx, why.value(), end.value())
			}})
		}}, {label: "Cancel"}},
	}
	return nil
}

// said is a dialog's body that stays the same.
func said(words string) func(*console, int) []cells.Line {
	return func(_ *console, w int) []cells.Line { return cells.Paragraph(cells.Normal, words, w) }
}

// ask looks up what would change.
func (c *console) ask(a act) tea.Cmd {
	a.waits = &dialog{title: a.title, tone: cells.Active, body: said("Looking at what there is..."), buttons: []button{{label: "Cancel"}}}
	c.dialog = a.waits
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		change, err := a.ask(ctx)
		return askedMsg{a, change, err}
	})
}

// onAsked asks the operator, unless the question is not wanted any more.
func (c *console) onAsked(m askedMsg) {
	if c.dialog != m.act.waits {
		return
	}
	c.stale = true
	switch {
	case m.err != nil:
		c.dialog = problemDialog(m.act.title, engine.AsProblem(m.err))
	case m.change.Make == nil:
		c.dialog = &dialog{title: m.act.title, tone: cells.Active, body: said(m.change.Question), buttons: []button{{key: "o", label: "OK"}}}
	default:
		c.dialog = c.changeDialog(m.act, m.change)
	}
}

func (c *console) changeDialog(a act, change plain.Change) *dialog {
	d := &dialog{title: a.title, tone: cells.Warn, body: said(change.Question), buttons: []button{{label: "Cancel"}, {label: a.button, guarded: a.typed}}}
	if a.typed {
		d.typed, d.tone = c.opts.App, cells.Fail
	}
	d.buttons[1].act = func(c *console) tea.Cmd { return c.make(a, change) }
	return d
}

// make changes what was agreed to.
func (c *console) make(a act, change plain.Change) tea.Cmd {
	a.waits = &dialog{title: a.title, tone: cells.Active, body: said("At work..."), buttons: []button{{label: "Close"}}}
	c.dialog = a.waits
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		done, err := change.Make(ctx)
		return madeMsg{a, done, err}
	})
}

// onMade tells what was done, also where other things are on the screen by now, and looks at the fleet.
func (c *console) onMade(m madeMsg) tea.Cmd {
	c.stale = true
	told := &dialog{title: m.act.title, tone: cells.OK, body: said(m.done), buttons: []button{{key: "o", label: "OK"}}}
	if m.err != nil {
		told = problemDialog(m.act.title, engine.AsProblem(m.err))
	}
	switch {
	case c.dialog == m.act.waits, c.dialog == nil && c.deploy == nil && c.sheet == nil:
		c.dialog = told
	case m.err != nil:
		c.say(m.act.title + ": " + m.err.Error())
	default:
		c.tell(m.done)
	}
	if c.top() == screen(c.fleet) {
		return c.lookNow()
	}
	return nil
}

// actCommands are the palette's.
func (c *console) actCommands() []command {
	a := c.opts.Acts
	var all []command
	add := func(there bool, words string, do func(*console) tea.Cmd) {
		if there {
			all = append(all, command{words, "", do})
		}
	}
	add(a.Doctor != nil, "doctor: what a deploy depends on", (*console).openDoctor)
	add(a.Freeze != nil, "freeze: nobody deploys for a time", (*console).openFreeze)
	add(a.Release != nil, "lock release: end a freeze, or a dead lock", (*console).openRelease)
	add(a.Withdraw != nil, "withdraw the hot upgrade from the record", (*console).openWithdraw)
	return all
}
