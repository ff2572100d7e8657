package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// lockDialog shows who is deploying, and leaves the choice to the operator. The focus is on waiting, which changes nothing.
func (d *deployScreen) lockDialog(c *console) *dialog {
	wait := func(c *console) tea.Cmd { d.waiting, d.answered = true, c.now; return nil }
	watch := func(c *console) tea.Cmd {
		_ = wait(c) // and go on as soon as the lock is free
		return c.watch(d.progress.Held.DeploymentID)
	}
	leave := func(c *console) tea.Cmd { d.answer(c, engine.Answer{}); return nil }
	buttons := []button{{key: "w", label: "Wait", act: wait}}
	if !d.progress.Held.Frozen() {
		buttons = append(buttons, button{key: "v", label: "Watch it live", act: watch})
	}
	buttons = append(buttons, button{key: "l", label: "Leave", act: leave})
	if !c.opts.ReadOnly {
		buttons = append(buttons, button{key: "o", label: "Override", act: func(c *console) tea.Cmd { d.open(c, d.overrideDialog(c)); return nil }})
	}
	return &dialog{title: lockTitle(d.progress.Held.LockInfo), tone: cells.Warn, buttons: buttons, lost: wait, body: d.lockBody, held: heldBy(d.progress.Held.LockInfo)}
}

// lockTitle heads what is told of a lock that is held.
func lockTitle(held engine.LockInfo) string {
	if held.Frozen() {
		return "Deploys are frozen"
	}
	return "The deploy lock is held"
}

func (d *deployScreen) lockBody(c *console, w int) []cells.Line {
	lines := append(lockFacts(d.progress.Held.LockInfo, c.now, c, w), nil)
	waiting := "Waiting changes nothing: the deploy starts once the lock is free."
	if d.progress.Held.Frozen() {
		waiting = "Waiting changes nothing: the deploy starts once the freeze is over. `flydeploy lock release` ends it for everybody."
	}
	return append(lines, cells.Paragraph(cells.Muted, waiting, w)...)
}

// lockFacts tell who holds a lock, since when, whether its owner is alive, and how long until it expires; of a freeze, why and until when.
func lockFacts(held engine.LockInfo, known time.Time, c *console, w int) []cells.Line {
	if held.Frozen() {
		lines := append([]cells.Line{cells.Fact("frozen by", held.Holder(), w)}, cells.FactLines("because", held.Freeze, w)...)
		return append(lines, cells.Fact("since", view.When(held.LockedAt, c.now), w), cells.Fact("until", view.Until(held.ExpiresAt, c.now), w))
	}
	expires := cells.FactLines("expires", view.When(held.ExpiresAt, c.now)+" unless renewed", w)
	if held.ExpiresAt.Before(c.now) {
		expires = cells.FactLines("expired", view.When(held.ExpiresAt, c.now), w)
	}
	by := held.LockedBy
	if by == c.holder.me {
		by += ", which is you"
	}
	lines := cells.FactLines("held by", by, w)
	sign := view.LifeSign(held, known)
	for i, row := range cells.FactLines("owner", sign.Text, w) {
		row[len(row)-1].Tone = sign.Tone
		if i == 0 {
			row[0].Tone = cells.Muted
		}
		lines = append(lines, row)
	}
	if c.holder.id == held.DeploymentID {
		lines = append(lines, c.holder.facts(c.now, w)...)
	}
	lines = append(append(lines, cells.Fact("since", view.When(held.LockedAt, c.now), w)), expires...)
	return append(lines, cells.Fact("deploy", held.DeploymentID, w))
}

// heldBy is the deploy that holds a lock, "" for a freeze.
func heldBy(held engine.LockInfo) string {
	if held.Frozen() {
		return ""
	}
	return held.DeploymentID
}

// overrideDialog asks for the app's name to be typed; Enter alone never overrides. It replaces exactly the lock that it shows.
func (d *deployScreen) overrideDialog(c *console) *dialog {
	held := d.progress.Held
	again := func(c *console) tea.Cmd { d.waiting, d.answered = true, c.now; return nil }
	return &dialog{
		title: overrideTitle(held.LockInfo), tone: cells.Fail, typed: c.opts.App, lost: again, held: heldBy(held.LockInfo),
		buttons: []button{
			{label: "Cancel", act: again},
			{label: "Override", guarded: true, act: func(c *console) tea.Cmd {
				d.waiting = false
				d.answer(c, engine.Answer{Proceed: true, OverrideETag: held.ETag})
				return nil
			}},
		},
		body: func(c *console, w int) []cells.Line {
			lines := append(lockFacts(held.LockInfo, c.now, c, w), nil)
			warning := "If that deploy still runs, machines can end on different versions. Override only a deploy that you know is dead."
			if held.Frozen() {
				warning = "Deploys are frozen on purpose. Overriding ends the freeze for everybody, also after this deploy."
			}
			lines = append(lines, cells.Paragraph(cells.Warn, warning, w)...)
			return append(lines, d.targets(w)...)
		},
	}
}

func overrideTitle(held engine.LockInfo) string {
	if held.Frozen() {
		return "Override the freeze"
	}
	return "Override the lock"
}

// lockDialog of the fleet shows who is deploying, and opens that deploy. It changes nothing.
func (f *fleet) lockDialog(c *console) *dialog {
	held := f.Overview.Lock
	about := &dialog{title: "The deploy lock", tone: cells.Active, buttons: []button{{key: "c", label: "Close"}}}
	if held == nil {
		about.body = func(_ *console, w int) []cells.Line {
			if !f.seen || f.Overview.Storage != nil {
				return cells.Paragraph(cells.Warn, "It is not known who is deploying: the bucket could not be read.", w)
			}
			return cells.Paragraph(cells.Normal, "Nobody is deploying: the lock is free.", w)
		}
		return about
	}
	if about.held = heldBy(*held); about.held != "" {
		about.buttons = append(about.buttons, button{key: "v", label: "Watch it live", act: func(c *console) tea.Cmd {
			return c.watch(held.DeploymentID)
		}})
	}
	if c.opts.Acts.Release != nil {
		about.buttons = append(about.buttons, button{key: "r", label: "Release it", act: (*console).openRelease})
	}
	if about.tone = cells.Warn; held.Frozen() {
		about.title = lockTitle(*held)
	}
	about.body = func(c *console, w int) []cells.Line {
		now := f.Overview.Lock
		if now == nil && f.Overview.Storage == nil {
			return cells.Paragraph(cells.Normal, "The lock of "+held.LockedBy+" has been released since.", w)
		}
		if now != nil {
			held = now
		}
		lines := append(lockFacts(*held, f.lookedAt, c, w), nil)
		if f.isStale(c.now) || now == nil {
			lines = append(lines, cells.Paragraph(cells.Warn, "As of "+view.When(f.lookedAt, c.now)+".", w)...)
		}
		would := "A deploy of yours would wait for it, or override it after asking you."
		if held.Frozen() {
			would = "Nobody deploys until then. Releasing ends the freeze, and asks first; a deploy would wait, or override it after asking you."
			if c.opts.Acts.Release == nil {
				would = "Nobody deploys until then. `flydeploy lock release` ends the freeze, and asks first; a deploy would wait, or override it after asking you."
			}
		}
		return append(lines, cells.Paragraph(cells.Muted, would, w)...)
	}
	return about
}
