package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// askHolderEvery is how often the record of the deploy that holds the lock is read while a dialog tells of it.
const askHolderEvery = 10 * time.Second

// holder is what its record tells of the deploy that holds the lock.
type holder struct {
	id      string // of the deploy
	upgrade engine.Upgrade
	phase   engine.Phase // that runs, "" for none
	at      time.Time    // of the last event, zero where nothing is recorded
	me      string       // who deploys from here, as locks name it; "" where that is not known
	asked   time.Time    // when this was asked for last
	asking  bool
}

// holderMsg brings it.
type holderMsg struct{ holder }

// askHolder reads the record of the deploy of whose lock a dialog tells, now and again.
func (c *console) askHolder() tea.Cmd {
	h := &c.holder
	if c.dialog == nil || c.dialog.held == "" || c.opts.Backend == nil || h.asking || h.id == c.dialog.held && c.now.Sub(h.asked) < askHolderEvery {
		return nil
	}
	if h.id != c.dialog.held {
		*h = holder{id: c.dialog.held, me: h.me}
	}
	h.asking, h.asked = true, c.now
	was := *h
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		if was.me == "" && c.opts.Me != nil {
			was.me = c.opts.Me(ctx)
		}
		if events, _, err := c.opts.Backend.Events(ctx, was.id); err == nil { // else what was known before stays
			was.read(events)
		}
		return holderMsg{was}
	})
}

// meMsg tells who deploys from here.
type meMsg string

// askMe finds that out, once there is a lock that may be ours.
func (c *console) askMe() tea.Cmd {
	if c.askedMe || c.opts.Me == nil || c.fleet.Overview.Lock == nil {
		return nil
	}
	c.askedMe = true
	return c.work.cmd(func(ctx context.Context) tea.Msg { return meMsg(c.opts.Me(ctx)) })
}

func (c *console) onMe(m meMsg) {
	c.holder.me, c.fleet.Me, c.stale = string(m), string(m), true
}

func (h *holder) read(events []engine.Event) {
	p := engine.NewProgress()
	for _, e := range events {
		p.Apply(e)
	}
	h.upgrade, h.at, h.phase = p.Upgrade, p.LastAt, ""
	for _, phase := range engine.FleetPhases {
		if p.Fleet[phase].Status == engine.StatusRunning {
			h.phase = phase
		}
	}
}

func (c *console) onHolder(m holderMsg) {
	if m.id != c.holder.id {
		c.holder.asking = false
		return
	}
	c.holder, c.stale = m.holder, true
	c.holder.asking = false
}

// facts tell what a deploy that holds the lock deploys, why, and how far it is.
func (h *holder) facts(now time.Time, w int) []cells.Line {
	var lines []cells.Line
	tell := func(title, value string) {
		if value != "" {
			lines = append(lines, cells.FactLines(title, value, w)...)
		}
	}
	if h.phase != "" {
		tell("now", "in "+h.phase.Title()+", as of "+view.Ago(now.Sub(h.at)))
	}
	tell("version", h.upgrade.Version)
	tell("message", h.upgrade.Message)
	tell("revision", h.upgrade.GitRevision)
	if h.upgrade.CILink != "" {
		lines = append(lines, view.Linked(cells.FactLines("CI", h.upgrade.CILink, w), h.upgrade.CILink)...)
	}
	return lines
}
