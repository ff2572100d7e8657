package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/view"
)

// What the terminal shows and does beside the screen: its title, the bar that its window has in the taskbar, and a call to an
// operator who looks elsewhere.

// calling is what has to be known for that.
type calling struct {
	focus   focus
	pressed time.Time // the last key
	called  string    // what was called for last, "" for nothing
}

// focus is whether the operator looks at the terminal. Many terminals do not tell.
type focus int

const (
	focusUnknown focus = iota
	focusHere
	focusElsewhere
)

// awayAfter is when an operator of a terminal that tells nothing is taken to be away: so long after the last key.
const awayAfter = time.Minute

func (k calling) away(now time.Time) bool {
	return k.focus == focusElsewhere || k.focus == focusUnknown && now.Sub(k.pressed) >= awayAfter
}

// turn takes in that the operator's terminal got the focus, or lost it.
func (k *calling) turn(msg tea.Msg) {
	k.focus = focusElsewhere
	if _, here := msg.(tea.FocusMsg); here {
		k.focus = focusHere
	}
}

// shownDeploy is the deploy that the screen is about; nil on the other screens.
func (c *console) shownDeploy() *deployScreen {
	if c.watched != nil {
		return c.watched
	}
	return c.deploy
}

// windowTitle is the window's: what happens, and where.
func (c *console) windowTitle() string {
	where := text.Line(c.opts.App) + " · flydeploy"
	d := c.shownDeploy()
	if d == nil {
		return where
	}
	state := d.needs()
	switch {
	case d.guest != nil && !d.guest.live:
		state = "replay"
	case state == "" && !d.committing():
		state = "preparing"
	case state == "":
		state = fmt.Sprintf("%d/%d", d.through(), d.board.taking())
	}
	return strings.Join(slices.DeleteFunc([]string{state, text.Line(d.progress.Upgrade.Version), where}, func(s string) bool { return s == "" }), " · ")
}

// taskbar is the progress of the deploy by machines; nil where none is shown.
func (c *console) taskbar() *tea.ProgressBar {
	d := c.shownDeploy()
	if d == nil || d.guest != nil && !d.guest.live {
		return nil
	}
	done := 100 * d.through() / max(d.board.taking(), 1)
	switch {
	case d.result != nil && d.result.Outcome == engine.OutcomeSucceeded:
		return nil
	case d.result != nil, d.progress.Asks() == engine.QuestionSick, d.progress.Asks() == engine.QuestionFailed:
		return tea.NewProgressBar(tea.ProgressBarError, max(done, 1))
	case d.progress.Asks() != engine.QuestionNone:
		return tea.NewProgressBar(tea.ProgressBarWarning, max(done, 1))
	case !d.committing():
		return tea.NewProgressBar(tea.ProgressBarIndeterminate, 0)
	}
	return tea.NewProgressBar(tea.ProgressBarDefault, done)
}

// through counts the machines that are finished, or have the upgrade and are watched.
func (d *deployScreen) through() int { return d.board.counts[view.RankDone] + d.board.watching }

// needs is what the operator ought to come for, "" while there is nothing.
func (d *deployScreen) needs() string {
	if d.result != nil {
		return string(d.result.Outcome)
	}
	switch d.progress.Asks() {
	case engine.QuestionPlan:
		return "the plan waits"
	case engine.QuestionLock:
		return "the deploy lock is taken"
	case engine.QuestionWatch:
		if len(d.progress.Ways) > 0 {
			return "the next wave waits"
		}
	case engine.QuestionSick:
		return "not well"
	case engine.QuestionFailed:
		return "machines failed"
	}
	return ""
}

// call rings the bell and has the terminal tell the desktop, once for each thing, when the operator is not here. It is about our own
// deploy: who only watches is not asked for anything.
func (c *console) call() tea.Cmd {
	needs := ""
	if c.deploy != nil {
		needs = c.deploy.needs()
	}
	if needs == c.calls.called {
		return nil
	}
	c.calls.called = needs
	if needs == "" || c.opts.NoBell || !c.calls.away(c.now) {
		return nil
	}
	return tea.Raw("\a" + notification(c.opts.Environ, text.Line(c.opts.App)+": "+needs))
}

// notification is the sequence for the desktop: OSC 777 where the terminal knows that one only, else OSC 9.
func notification(env []string, body string) string {
	body = strings.ReplaceAll(body, ";", ",") // it separates
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if name == "VTE_VERSION" && value != "" || name == "TERM" && (strings.HasPrefix(value, "rxvt") || strings.HasPrefix(value, "foot")) {
			return "\x1b]777;notify;flydeploy;" + body + "\x1b\\"
		}
	}
	return "\x1b]9;" + body + "\x1b\\"
}
