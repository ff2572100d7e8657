package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
)

const (
	pollEvery      = 2 * time.Second      // one list of machines for each refresh of the fleet screen
	pollMachine    = 4 * time.Millisecond // more for each machine: the list of a thousand is a megabyte
	pollMost       = 6 * time.Second
	pollAfterError = 10 * time.Second // other consoles may look at the app too, and Fly limits the rate of all
	agesEvery      = 10 * time.Second // how long ago things were is told anew, where a look brings nothing new
)

// overviewMsg brings a look at the fleet.
type overviewMsg struct {
	overview engine.Overview
	err      error
	look     int // which it was; 0 where nobody counts
}

// looks are those at the fleet, one at a time.
type looks struct {
	waiting bool      // for one that was asked for
	last    int       // which that is; earlier ones come too late
	at      time.Time // when it begins
}

// ask asks for one, and gives its number.
func (l *looks) ask(at time.Time) int {
	l.waiting, l.at = true, at
	l.last++
	return l.last
}

// came notes down that one has come, and reports whether it is still wanted.
func (l *looks) came(look int) bool {
	if look != 0 && look != l.last {
		return false
	}
	l.waiting = false
	return true
}

// poll looks at the fleet after a while.
func (c *console) poll(wait time.Duration) tea.Cmd {
	if c.opts.Backend == nil || c.looks.waiting {
		return nil
	}
	look := c.looks.ask(c.now.Add(wait))
	return c.work.after(wait, func(ctx context.Context) tea.Msg {
		o, err := c.opts.Backend.Overview(ctx)
		return overviewMsg{o, err, look}
	})
}

// lookNow looks at the fleet without waiting for the next look's time.
func (c *console) lookNow() tea.Cmd {
	c.looks.waiting = false
	return c.poll(0)
}

func (c *console) onOverview(m overviewMsg) tea.Cmd {
	if !c.looks.came(m.look) {
		return nil
	}
	changed := c.fleet.look(m, c.now)
	if c.top() != screen(c.fleet) {
		return nil // no other screen needs the list; it is asked for again on the way back
	}
	c.stale = c.stale || changed || c.now.Sub(c.fleet.now) >= agesEvery
	if m.err != nil {
		return c.poll(pollAfterError)
	}
	return tea.Batch(c.askMe(), c.poll(min(pollEvery+time.Duration(len(m.overview.Machines))*pollMachine, pollMost)))
}
