package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/view"
)

const (
	readOutputEvery = 1500 * time.Millisecond // a request for each look at the logs
	readOutputSoon  = 100 * time.Millisecond  // where an answer was full
	readOutputAgain = 10 * time.Second        // after an error
	fullOutput      = 100                     // lines of an answer after which more wait
	readAfterEnd    = time.Minute             // beside a deploy that has ended; l goes on reading
	maxOutput       = 10_000                  // lines that are kept
)

// outputs are the lines that the app's machines print, as Fly's logs have them. They are read only while a screen shows them.
type outputs struct {
	lines   []outputLine
	gone    int    // how many older lines were dropped
	token   string // with which the logs go on
	reading bool   // a request is under way, or the wait for it
	err     error  // of the last request
	readAt  time.Time
	failed  map[string]bool // machines whose last line was an error
}

type outputLine struct {
	engine.MachineLine
	level  view.LineLevel
	number int // in the order in which they came
}

// outputMsg brings lines.
type outputMsg struct {
	lines []engine.MachineLine
	next  string
	err   error
}

// readOutput reads the logs after a while, if a screen shows them.
func (c *console) readOutput(wait time.Duration) tea.Cmd {
	if c.opts.Logs == nil || c.outputs.reading || !c.showsOutput() {
		return nil
	}
	c.outputs.reading = true
	from := c.outputs.token
	return c.work.after(wait, func(ctx context.Context) tea.Msg {
		lines, next, err := c.opts.Logs.Lines(ctx, "", from)
		return outputMsg{lines, next, err}
	})
}

// showsOutput reports whether a screen shows what machines print: one of its own, or beside the log of a deploy since its commit.
func (c *console) showsOutput() bool {
	if c.output != nil {
		return true
	}
	d, is := c.top().(*deployScreen)
	return is && d.pane == paneBoard && !d.planning(c.now) && c.readsBeside(d) && !d.endedLongAgo(c.now)
}

// readsBeside reports whether the lines of the machines stand beside the log of a deploy.
func (c *console) readsBeside(d *deployScreen) bool {
	return c.opts.Logs != nil && c.w >= wideWidth && d.hasLogs() && !d.committedAt().IsZero()
}

func (c *console) onOutput(m outputMsg) tea.Cmd {
	o := &c.outputs
	o.reading, c.stale = false, true
	if o.err = m.err; m.err != nil {
		return c.readOutput(readOutputAgain)
	}
	o.token, o.readAt = m.next, c.now
	o.take(m.lines)
	if len(m.lines) >= fullOutput {
		return c.readOutput(readOutputSoon)
	}
	return c.readOutput(readOutputEvery)
}

func (o *outputs) take(lines []engine.MachineLine) {
	if o.failed == nil {
		o.failed = map[string]bool{}
	}
	for _, l := range lines {
		if l.Text == "" {
			continue
		}
		if len(o.lines) == maxOutput {
			o.lines = append(o.lines[:0], o.lines[maxOutput/4:]...)
			o.gone += maxOutput / 4
		}
		level := view.LevelOf(l, o.failed[l.Machine])
		o.failed[l.Machine] = level == view.LineFail
		o.lines = append(o.lines, outputLine{l, level, o.gone + len(o.lines)})
	}
}

// hasLogs reports whether the machines of a deploy can be asked for what they print: not those of a record.
func (d *deployScreen) hasLogs() bool { return d.guest == nil || d.guest.live }

// endedLongAgo reports whether what its machines print has no longer anything to do with a deploy.
func (d *deployScreen) endedLongAgo(now time.Time) bool {
	return !d.ended.IsZero() && now.Sub(d.ended) > readAfterEnd
}

// committedAt is when the deploy's commit began, zero before.
func (d *deployScreen) committedAt() time.Time { return d.progress.Fleet[engine.PhaseCommit].StartedAt }

// underCursor is the machine under the cursor, "" for none.
func (d *deployScreen) underCursor() string {
	if r := d.board.current(); r != nil {
		return r.m.ID
	}
	return ""
}
