package tui

import (
	"context"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// history is the screen of past deploys, the newest first.
type history struct {
	all    []engine.Past
	rows   []engine.Past // what the filter lets through
	seen   bool
	err    error
	list   cells.List
	filter filter
}

// historyMsg brings the record of deploys, or why it could not be read.
type historyMsg struct {
	of   *history
	past []engine.Past
	err  error
}

func (c *console) openHistory() tea.Cmd {
	if c.opts.Backend == nil {
		return nil
	}
	c.past = &history{}
	return c.readHistory()
}

func (c *console) readHistory() tea.Cmd {
	of := c.past
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		past, err := c.opts.Backend.History(ctx)
		return historyMsg{of, past, err}
	})
}

func (c *console) onHistory(m historyMsg) {
	if c.past != m.of {
		return
	}
	h := c.past
	h.err, h.seen = m.err, h.seen || m.err == nil
	if m.err == nil {
		h.all = m.past
		h.build()
	}
	c.stale = true
}

func (h *history) build() {
	h.rows = nil
	for _, p := range h.all {
		if h.filter.lets(strings.Join([]string{p.ID, view.Date(p.At), view.PastWord(p), p.Version, p.Owner, p.Host, p.Message, p.GitRevision}, " ")) {
			h.rows = append(h.rows, p)
		}
	}
	h.list.Move(0, len(h.rows))
}

func (h *history) current() (engine.Past, bool) {
	if h.list.At >= len(h.rows) {
		return engine.Past{}, false
	}
	return h.rows[h.list.At], true
}

func (h *history) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	if h.filter.typed != nil {
		h.filter.press(k)
		h.build()
		return nil
	}
	if by, ok := c.step(k); ok {
		h.list.Move(by, len(h.rows))
		return nil
	}
	switch {
	case key.Matches(k, c.keys.details, c.keys.in):
		return h.open(c)
	case key.Matches(k, c.keys.filter):
		h.filter.open()
	case key.Matches(k, c.keys.history):
		return c.readHistory()
	case key.Matches(k, c.keys.copy):
		return c.copy(h.copied())
	case key.Matches(k, c.keys.deploy):
		return h.deploy(c)
	case h.filter.words != "" && key.Matches(k, c.keys.back):
		h.filter.clear()
		h.build()
	case key.Matches(k, c.keys.back, c.keys.out):
		c.past = nil
		return c.poll(0)
	case key.Matches(k, c.keys.quit):
		return tea.Quit
	}
	return nil
}

// open plays the deploy under the cursor, or watches one that still runs.
func (h *history) open(c *console) tea.Cmd {
	p, ok := h.current()
	switch {
	case !ok:
		return nil
	case p.Running:
		return c.watch(p.ID)
	}
	return c.replayPast(p)
}

// again is the deploy under the cursor, if its code can be deployed again.
func (h *history) again() (engine.Past, bool) {
	p, ok := h.current()
	return p, ok && view.Again(p)
}

// deploy asks about deploying the code of the deploy under the cursor again, to the marked machines or to all.
func (h *history) deploy(c *console) tea.Cmd {
	p, ok := h.again()
	if !ok {
		c.say("This one has no code that could be deployed again")
		return nil
	}
	visible, hidden := c.fleet.marks()
	return c.openSheet(engine.Selection{Machines: append(visible, hidden...)}, source{words: "the code of deploy " + p.ID + ", " + p.Version, request: engine.Request{To: p.ID}})
}

func (h *history) copied() (what, content string) {
	p, ok := h.current()
	if !ok {
		return "", ""
	}
	return "the deploy " + p.ID, cells.String(view.Past(p, time.Now(), 100))
}

func (h *history) settle(c *console) { h.list.Reveal(len(h.rows), h.rowsOf(c)) }

func (h *history) rowsOf(c *console) int { return max(c.h-5, 0) }

// rowAt is the deploy in a row of the screen, -1 for none.
func (h *history) rowAt(c *console, y int) int {
	from, to := h.list.Window(len(h.rows), c.h-5)
	if i := from + y - historyTop; y >= historyTop && i < to {
		return i
	}
	return -1
}
