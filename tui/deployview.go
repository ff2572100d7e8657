package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/spinner"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// view renders the deploy's screen: steps, what runs now, totals, then the machines with details beside them, then the
// log. While the plan waits to be confirmed it takes the machines' place.
func (d *deployScreen) view(c *console) []cells.Line {
	if d.guest != nil {
		c = c.at(d.guest.clock(c.now))
	}
	w, h := c.w, c.h
	lines := []cells.Line{c.title(cells.Line{cells.New(cells.Normal, d.target(w))}, d.status(c))}
	lines = append(lines, d.head(c, w)...)
	switch {
	case d.pane == paneLog:
		lines = append(lines, cells.RuleLine(d.log.heading(d, d.logRoom(c)), w))
		lines = append(lines, d.log.view(d, w, d.logRoom(c))...)
	case d.pane == paneModules:
		list, place := d.modules.view(d.progress.Plan, w, d.pageRows(c))
		lines = append(lines, cells.Rule(placed("what changes: "+text.Counted(len(d.progress.Plan.Modules), "module"), place), w))
		lines = append(lines, list...)
	case d.planning(c.now):
		lines = append(lines, cells.Rule(placed("plan: nothing has been suspended yet", d.page.Place(d.pageRows(c))), w))
		lines = append(lines, d.page.View(w, d.pageRows(c))...)
		lines = append(lines, d.planQuestion(c, w)...)
	case d.pane == paneMap:
		lines = append(append(lines, cells.RuleLine(d.mapTitle(c), w)), d.page.View(w, d.pageRows(c))...)
		lines = append(lines, d.underMap(c))
	case d.pane != paneBoard:
		lines = append(lines, cells.Rule(placed(d.pageTitle(), d.page.Place(d.pageRows(c))), w))
		lines = append(lines, d.page.View(w, d.pageRows(c))...)
	default:
		lines = append(lines, d.body(c, w, h-len(lines)-1)...)
	}
	return append(cells.Fill(lines, w, h-1), c.bottom(d.hints(c)...).Fit(w))
}

func (d *deployScreen) pageTitle() string {
	switch {
	case d.pane == panePlan && d.result != nil && d.result.DryRun:
		return view.Headline(*d.result)
	case d.pane == panePlan:
		return "the plan"
	case d.pane == paneTimeline:
		return "timeline of " + text.Counted(len(d.board.rows), "machine")
	}
	return "machine " + d.board.current().m.ID
}

// placed adds to a title where its page is.
func placed(title, place string) string {
	switch {
	case place == "":
		return title
	case title == "":
		return place
	}
	return title + " · " + place
}

// planKey tells whether a plan, which takes long to lay out, still looks the same.
type planKey struct {
	plan        *engine.Plan
	w, accepted int
}

// settle lays out what scrolls, and keeps the cursor visible.
func (d *deployScreen) settle(c *console) {
	switch {
	case d.pane == paneLog || d.pane == paneModules:
		return
	case d.planning(c.now) || d.pane == panePlan && d.progress.Plan != nil:
		d.page.Show(planKey{plan: d.progress.Plan, w: c.w, accepted: len(d.accepted)}, func() []cells.Line {
			return view.Plan(d.progress.Plan, d.accepted, c.w-2)
		})
	case d.pane == paneTimeline && len(d.board.rows) > 0:
		d.page.Show(d.timelineKey(c), func() []cells.Line { return view.Timeline(d.progress, d.board.machines(), d.timelineNow(c), c.w-2) })
	case d.pane == paneMap && len(d.board.rows) > 0:
		d.settleMap(c)
	case d.pane == paneDetails && d.board.current() != nil:
		d.page.Show(nil, func() []cells.Line { return d.details(c, c.w-2) })
	default:
		d.pane = paneBoard
		d.board.list.Reveal(len(d.board.rows), d.boardRows(c)-1)
		return
	}
	d.page.Clamp(d.pageRows(c))
	if d.planning(c.now) {
		d.read = max(d.read, min(d.page.Scroll+d.pageRows(c), d.page.Len()))
	}
}

// pageRows counts the rows between what stands above a page and what stands below.
func (d *deployScreen) pageRows(c *console) int {
	room := c.h - 3 - len(d.head(c, c.w)) // title, rule, bottom
	if d.pane == paneMap {
		room-- // the machine under the cursor
	}
	if d.pane != paneModules && d.planning(c.now) {
		room -= len(d.planQuestion(c, c.w))
	}
	return max(room, 0)
}

// head is everything above the panes: the steps, what runs now or the outcome, the totals. A pane that fills the screen has
// none.
func (d *deployScreen) head(c *console, w int) []cells.Line {
	if d.pane == paneLog || d.pane == paneModules || d.pane != paneBoard && !d.planning(c.now) {
		return nil
	}
	return append(d.steps(c, w), d.summaryRows(c, w)...)
}

func (d *deployScreen) status(c *console) cells.Line {
	switch {
	case d.guest != nil:
		return d.guest.status(d)
	case d.result != nil:
		return cells.Line{cells.New(cells.Muted, text.Seconds(d.elapsed(c.now)))}
	}
	word := "deploying "
	switch {
	case d.stopping:
		word = "stopping "
	case d.planning(c.now):
		word = "to confirm "
	case d.waiting:
		word = "waiting "
	case !d.asked.IsZero():
		word = "waits for you "
	}
	took := d.elapsed(c.now)
	if !d.asked.IsZero() {
		took = d.waits(c.now)
	}
	return cells.Line{cells.New(cells.Active, word), cells.New(cells.Normal, text.Seconds(took))}
}

var spinnerFrames = spinner.MiniDot.Frames

// spin is the spinner's frame. The screen's clock chooses it, so that a replay that is paused stands still.
func (c *console) spin() string {
	return spinnerFrames[int(c.now.UnixMilli()/100%int64(len(spinnerFrames)))]
}

// oneRow is the least width at which all steps stand on one row, also with their times.
const oneRow = 190

// steps is the fleet's phases in their order. On a low screen finished ones are only counted.
func (d *deployScreen) steps(c *console, w int) []cells.Line {
	all, bare := d.allSteps(c, true), d.allSteps(c, false)
	rows := cells.Flow(all, w)
	if w < oneRow { // what comes before the commit, and the rest: the rows stay where they are while times are added
		rows = stepRows(all, bare, w)
	}
	if c.h >= 20 || len(rows) == 1 {
		return rows
	}
	var near []cells.Line
	done := 0
	for i, p := range engine.FleetPhases {
		if s := d.progress.Fleet[p].Status; s == engine.StatusDone || s == engine.StatusSkipped {
			done++
			continue
		}
		near = append(near, all[i])
	}
	head := cells.Line{{Text: fmt.Sprintf("✓ %d of %d steps", done, len(all)), Tone: cells.Muted}}
	return cells.Flow(append([]cells.Line{head}, near...), w)[:1]
}

func (d *deployScreen) allSteps(c *console, timed bool) []cells.Line {
	all := make([]cells.Line, len(engine.FleetPhases))
	for i, p := range engine.FleetPhases {
		all[i] = d.step(c, p, timed)
	}
	return all
}

// stepRows are the steps before the commit and those from it on, without times where these do not fit.
func stepRows(timed, bare []cells.Line, w int) []cells.Line {
	commit := slices.Index(engine.FleetPhases, engine.PhaseCommit)
	for _, all := range [][]cells.Line{timed, bare} {
		if before, after := cells.Flow(all[:commit], w), cells.Flow(all[commit:], w); len(before) == 1 && len(after) == 1 {
			return append(before, after...)
		}
	}
	return cells.Flow(bare, w)
}

func (d *deployScreen) step(c *console, p engine.Phase, timed bool) cells.Line {
	s := d.progress.Fleet[p]
	if d.isOver() && (s.Status == "" || s.Status == engine.StatusPending) { // it will not come any more
		s.Status = engine.StatusSkipped
	}
	glyph, t := view.StatusLook(s.Status, c.spin())
	name := cells.Muted
	switch s.Status {
	case engine.StatusRunning, engine.StatusFailed:
		name = cells.Strong
	case engine.StatusDone:
		name = cells.Normal
	}
	l := cells.Line{{Text: glyph + " ", Tone: t}, {Text: p.Title(), Tone: name}}
	if s.Status == engine.StatusDone && s.DurationUS >= 100_000 && timed && c.w >= 100 && p != engine.PhasePlan { // which waits for the operator
		l = append(l, cells.Span{Text: " " + view.Micros(s.DurationUS), Tone: cells.Muted})
	}
	return l
}

// isOver reports whether nothing more comes of the deploy.
func (d *deployScreen) isOver() bool { return d.result != nil || d.guest != nil && d.guest.isOver() }

// summaryRows tell what runs now, or the outcome, and the totals.
func (d *deployScreen) summaryRows(c *console, w int) []cells.Line {
	var lines []cells.Line
	switch {
	case d.guest != nil && d.guest.replay != nil:
		lines = d.guest.replay.seekBar(w, c.h) // in the place of what is told of now
	case c.header != "":
		lines = []cells.Line{cells.Spread(nil, cells.Line{cells.New(cells.Muted, c.header+" ")}, w)}
	}
	lines = append(lines, d.nowRows(c, w)...)
	if len(d.board.rows) > 0 {
		lines = append(lines, d.bar(w))
	}
	if d.board.showsVitals() {
		if l := view.FleetVitals(d.progress.Machines, d.board.pulse.busy, d.board.pulse.since, w); l != nil {
			lines = append(lines, l.Fit(w))
		}
	}
	return lines
}

// nowRows are what runs now, or how it ended.
func (d *deployScreen) nowRows(c *console, w int) []cells.Line {
	if d.guest != nil {
		if d.guest.err != nil {
			return view.Problem(engine.AsProblem(d.guest.err), w-2)
		}
		if l, ended := d.guest.ending(); ended && d.result == nil {
			return []cells.Line{l.Fit(w)}
		}
	}
	if d.result != nil {
		return d.outcomeRows(c, w)
	}
	return []cells.Line{append(cells.Line{cells.Blank(1)}, d.now(c, w-1)...).Fit(w)}
}

// now shows the fleet phase that runs, how far it is where there is room, and what it says.
func (d *deployScreen) now(c *console, w int) cells.Line {
	at, s := d.running()
	if d.waiting && d.progress.Held != nil && d.progress.Held.Frozen() {
		held := d.progress.Held
		return cells.Line{cells.New(cells.Warn, "Frozen by "+held.LockedBy+" until "+view.Until(held.ExpiresAt, c.now)+": "+held.Freeze)}
	}
	if d.waiting && d.progress.Held != nil {
		return cells.Line{cells.New(cells.Warn, "Waits for the lock of "+d.progress.Held.LockedBy+", which expires "+view.When(d.progress.Held.ExpiresAt, c.now)+" unless renewed")}
	}
	switch s.Status {
	case engine.StatusRunning:
		l := cells.Line{{Text: c.spin() + " " + at.Title() + " ", Tone: cells.Active}}
		if !s.StartedAt.IsZero() {
			l = append(l, cells.New(cells.Normal, text.Seconds(c.now.Sub(s.StartedAt))+"  "))
		}
		says := strings.TrimSpace(view.Amount(s.Done, s.Total, s.Unit) + "  " + s.Text)
		if s.Text != "" && (s.Unit == "machines" || l.Width()+cells.Width(text.Line(says)) > w) { // the bar below counts machines
			says = s.Text
		}
		return append(l, cells.New(cells.Muted, says))
	case engine.StatusFailed:
		l := cells.Line{{Text: "✗ " + at.Title() + " failed", Tone: cells.Fail}}
		if s.Problem != nil {
			l = append(l, cells.New(cells.Fail, "  "+s.Problem.What))
		}
		return l
	}
	if len(d.progress.Fleet) == 0 {
		return cells.Line{{Text: "Starting", Tone: cells.Muted}}
	}
	l := cells.Line{{Text: "✓ " + at.Title() + " done", Tone: cells.Muted}}
	if i := slices.Index(engine.FleetPhases, at); i+1 < len(engine.FleetPhases) {
		l = append(l, cells.Span{Text: "  next " + engine.FleetPhases[i+1].Title(), Tone: cells.Muted})
	}
	return l
}

// running gives the last fleet phase that has reported anything.
func (d *deployScreen) running() (engine.Phase, engine.PhaseState) {
	at := engine.FleetPhases[0]
	for _, p := range engine.FleetPhases {
		if s, ok := d.progress.Fleet[p]; ok && s.Status != engine.StatusPending && s.Status != engine.StatusSkipped {
			at = p
			if s.Status == engine.StatusFailed {
				break
			}
		}
	}
	return at, d.progress.Fleet[at]
}

// body is the machines and the log.
func (d *deployScreen) body(c *console, w, h int) []cells.Line {
	rows := d.boardRows(c)
	var lines []cells.Line
	if rows > 0 {
		lines = append(lines, cells.Rule(placed(text.Counted(len(d.board.rows), "machine"), d.board.list.Place(len(d.board.rows), rows-1)), w))
		lines = append(lines, d.machines(c, w, rows)...)
	}
	left := h - len(lines)
	if left < 2 {
		return cells.Fill(lines, w, h)
	}
	if c.readsBeside(d) {
		half := (w - 3) / 2
		lines = append(lines, cells.Beside([]cells.Line{cells.Rule(d.logTitle(left-1), half)}, []cells.Line{cells.Rule(d.outputTitle(c, left-1), w-3-half)})...)
		return append(lines, cells.Beside(d.logRows(half, left-1), d.outputRows(c, w-3-half, left-1))...)
	}
	lines = append(lines, cells.Rule(d.logTitle(left-1), w))
	return append(lines, d.logRows(w, left-1)...)
}

// outputTitle says which of the machines' lines stand beside the log.
func (d *deployScreen) outputTitle(c *console, h int) string {
	if d.endedLongAgo(c.now) {
		return "logs until " + text.Time(readAfterEnd) + " after the end · " + firstShown(c.keys.logs) + " reads on"
	}
	if lines := c.outputs.lines; len(lines) > h && !lines[len(lines)-h-1].At.Before(d.committedAt()) {
		return "logs of the machines since the commit · " + lastOf(h)
	}
	return "logs of the machines since the commit"
}

// logTitle says where h rows are not all of the log.
func (d *deployScreen) logTitle(h int) string {
	left := h
	for i := len(d.progress.Log) - 1; i >= 0; i-- {
		if !logged(d.progress.Log[i]) {
			continue
		}
		if left--; left < 0 {
			return "log · " + lastOf(h)
		}
	}
	return "log"
}

func lastOf(h int) string { return "last " + text.Counted(h, "line") + " ↑" }

// boardRows counts the rows for the machines and their heading: as many as they need, as long as the log keeps three lines,
// or a third of a high screen.
func (d *deployScreen) boardRows(c *console) int {
	if len(d.board.rows) == 0 {
		return 0
	}
	room := c.h - 2 - len(d.head(c, c.w))
	log := max(4, room/3)
	if room < 2*log {
		log = 0
	}
	need := len(d.board.rows) + 1
	if c.w >= wideWidth {
		need = max(need, 14) // for the details beside it
	}
	return max(min(need, room-1-log), 2)
}

// timelineKey tells whether the timeline still looks the same.
type timelineKey struct {
	seq   int64
	w     int
	at    time.Time
	first string // the order of the machines, as far as it matters to whoever looks
}

func (d *deployScreen) timelineKey(c *console) timelineKey {
	return timelineKey{d.progress.LastSeq, c.w, d.timelineNow(c).Truncate(time.Second), d.board.rows[0].m.ID}
}

// timelineNow is the time up to which phases run that have not ended: a record's own in a replay, and the last event of what has ended.
func (d *deployScreen) timelineNow(c *console) time.Time {
	if d.result != nil {
		return d.progress.LastAt
	}
	return d.clock(c)
}
