package tui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// guest is a deploy on the screen that is not ours to answer or to stop: somebody else's, watched live, or a recorded one,
// played back.
type guest struct {
	id     string
	past   *engine.Past // nil where its summary is not known
	live   bool
	replay *replay        // nil before the record was read
	ended  *engine.Result // how what is replayed ended, nil where nobody knows
	seen   time.Time
	over   bool  // a live deploy has ended
	err    error // why it cannot be shown
}

// recordMsg is a record that was read to be played back.
type recordMsg struct {
	of     *deployScreen
	events []engine.Event
	ended  *engine.Result
	err    error
}

// replayPast opens a recorded deploy and plays it.
func (c *console) replayPast(p engine.Past) tea.Cmd {
	c.watched = newDeployScreen(engine.Selection{}, c.now)
	c.watched.guest = &guest{id: p.ID, past: &p}
	of := c.watched
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		events, ended, err := c.opts.Backend.Events(ctx, p.ID)
		return recordMsg{of, events, ended, err}
	})
}

func (c *console) onRecord(m recordMsg) {
	if c.watched == nil || c.watched != m.of {
		return
	}
	c.stale = true
	g := m.of.guest
	if g.err = m.err; m.err != nil {
		return
	}
	g.ended = m.ended
	g.play(m.of, m.events, c.now)
}

// play starts a replay with its first event on the screen.
func (g *guest) play(d *deployScreen, events []engine.Event, now time.Time) {
	g.replay, g.seen = newReplay(events), now
	g.show(d, g.replay.due())
}

// show brings a replay's next events onto the screen, and after the last one how the deploy has ended, and what became of the machines.
func (g *guest) show(d *deployScreen, events []engine.Event) {
	d.apply(events, g.replay.at)
	d.result = nil
	if g.replay.over() && g.ended != nil {
		d.result = g.ended
		d.board.end(*g.ended)
		d.sort(g.replay.at)
	}
}

// watch follows a deploy that somebody else runs.
func (c *console) watch(id string) tea.Cmd {
	if c.opts.Backend == nil {
		return nil
	}
	c.watched = newDeployScreen(engine.Selection{}, c.now)
	c.watched.guest = &guest{id: id, live: true}
	c.watched.session.source = c.opts.Backend.Watch(id)
	c.watched.session.ended = func(ctx context.Context) (engine.Result, error) { return c.opts.Backend.Outcome(ctx, id) }
	return c.watched.session.read(c.work, 0)
}

// leaveGuest goes back to the screen below. A console that was started for this deploy alone quits.
func (c *console) leaveGuest() tea.Cmd {
	c.fleet.learn(c.watched)
	c.watched = nil
	if c.opts.Record != nil || c.opts.WatchID != "" {
		return tea.Quit
	}
	if c.deploy == nil && c.past == nil {
		return c.poll(0)
	}
	return nil
}

func (g *guest) onTick(d *deployScreen, now time.Time) {
	passed := now.Sub(g.seen)
	g.seen = now
	if g.replay != nil {
		g.show(d, g.replay.advance(passed))
		return
	}
	d.sort(now)
}

func (g *guest) moves() bool {
	switch {
	case g.err != nil:
		return false
	case g.live:
		return !g.over
	}
	return g.replay != nil && !g.replay.paused && !g.replay.over()
}

func (g *guest) press(c *console, d *deployScreen, k tea.KeyPressMsg) tea.Cmd {
	if key.Matches(k, c.keys.back, c.keys.quit) {
		return c.leaveGuest()
	}
	r := g.replay
	if r == nil {
		return nil
	}
	switch {
	case key.Matches(k, c.keys.pause):
		r.paused = !r.paused
	case key.Matches(k, c.keys.faster):
		r.faster(1)
	case key.Matches(k, c.keys.slower):
		r.faster(-1)
	case key.Matches(k, c.keys.stepEvent):
		g.show(d, r.step())
	case key.Matches(k, c.keys.forward):
		g.seek(d, r.track.at(r.track.played(r.at)+seekBy))
	case key.Matches(k, c.keys.rewind):
		g.seek(d, r.track.at(r.track.played(r.at)-seekBy))
	case key.Matches(k, c.keys.nextPhase):
		g.jump(c, d, r.track.phases, markAfter, "phase begins after this")
	case key.Matches(k, c.keys.lastPhase):
		g.jump(c, d, r.track.phases, markBefore, "phase begins before this")
	case key.Matches(k, c.keys.nextFailure):
		g.jump(c, d, r.track.failures, markAfter, "failure comes after this")
	case key.Matches(k, c.keys.lastFailure):
		g.jump(c, d, r.track.failures, markBefore, "failure comes before this")
	}
	return nil
}

// jump goes to a mark, and stays at a failure, with the cursor on its machine.
func (g *guest) jump(c *console, d *deployScreen, marks []mark, which func([]mark, time.Time) (mark, bool), what string) {
	m, there := which(marks, g.replay.at)
	if !there {
		c.say("No " + what)
		return
	}
	g.seek(d, m.at)
	if m.machine != "" {
		g.replay.paused = true
		d.board.list.At = max(slices.IndexFunc(d.board.rows, func(r *boardRow) bool { return r.m.ID == m.machine }), 0)
	}
}

func (g *guest) seek(d *deployScreen, to time.Time) {
	events, again := g.replay.seek(to)
	at, under := d.board.list, d.underCursor()
	if again {
		d.progress, d.board = engine.NewProgress(), newBoard()
		d.board.list = at
	}
	g.show(d, events)
	if r := d.board.byID[under]; again && r != nil && d.pane == paneMap {
		d.point(r)
	}
}

// clock is the time that the deploy's screen shows: the record's own in a replay.
func (g *guest) clock(now time.Time) time.Time {
	if g.replay != nil {
		return g.replay.at
	}
	return now
}

// status is what the title says at the right.
func (g *guest) status(d *deployScreen) cells.Line {
	r := g.replay
	switch {
	case g.err != nil:
		return cells.Line{{Text: "! cannot be shown", Tone: cells.Warn}}
	case g.live && g.over:
		return cells.Line{{Text: "that deploy has ended", Tone: cells.Strong}}
	case g.live:
		return cells.Line{{Text: "watching", Tone: cells.Active}, cells.New(cells.Muted, " "+d.progress.Upgrade.Owner)}
	case r == nil:
		return cells.Line{{Text: "reading the record", Tone: cells.Muted}}
	}
	word := "replay "
	switch {
	case r.over():
		word = "replay ended "
	case r.paused:
		word = "replay paused "
	}
	whole, at := r.end().Sub(r.begin()), r.at.Sub(r.begin()).Truncate(time.Second)
	if r.over() {
		at = whole
	}
	place := text.Seconds(at) + " of " + text.Seconds(whole)
	return cells.Line{{Text: word, Tone: cells.Active}, {Text: place, Tone: cells.Normal}, {Text: "  " + speedText(r.speed) + "×", Tone: cells.Muted}}
}

func speedText(i int) string { return strconv.FormatFloat(speeds[i], 'g', -1, 64) }

// isOver reports whether nothing more comes.
func (g *guest) isOver() bool { return g.live && g.over || g.replay != nil && g.replay.over() }

// ending is the row that stands for the outcome once nothing more will come.
func (g *guest) ending() (cells.Line, bool) {
	switch {
	case !g.isOver():
		return nil, false
	case g.past == nil || g.past.Running:
		return cells.Line{{Text: " The record ends here.", Tone: cells.Muted}}, true
	}
	p := g.past
	how := view.PastOutcome(*p)
	summary := fmt.Sprintf(", %s of %s in %s", text.Count(p.Upgraded), text.Counted(p.Machines, "machine"), text.Seconds(p.Took()))
	if p.MaxSuspendedUS > 0 {
		summary += ", suspended max " + view.Micros(p.MaxSuspendedUS)
	}
	if p.Owner != "" {
		summary += ", by " + p.Owner
	}
	return cells.Line{cells.Blank(1), how, cells.New(how.Tone, summary)}, true
}

func (g *guest) hints(k keyMap) []hint {
	if !k.details.Enabled() { // nor is there anything to copy
		k.copy.SetEnabled(false)
	}
	if g.replay == nil {
		return []hint{
			{"esc", "back"}, short(k.details, "details"), short(k.log, "log"), short(k.logs, "machine's logs"), short(k.help, "help"), short(k.timeline, "timeline"), short(k.plan, "plan"), short(k.copy, "copy"),
		}
	}
	play := short(k.pause, "pause")
	switch r := g.replay; {
	case r.over():
		play = hint{}
	case r.paused:
		play = short(k.pause, "go on")
	}
	return []hint{
		play, {firstShown(k.lastPhase) + " " + firstShown(k.nextPhase), "phases"}, short(k.nextFailure, "next failure"), {"esc", "back"}, {firstShown(k.faster) + " " + firstShown(k.slower), "speed"}, short(k.help, "help"), {"← →", "10 s"}, short(k.stepEvent, "next event"), short(k.log, "log"),
		short(k.details, "details"), short(k.plan, "plan"), short(k.copy, "copy"),
	}
}
