package tui

import (
	"slices"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// logPane is the whole event log. While it follows, its last line is the newest; scrolling up pauses it.
type logPane struct {
	follow bool
	from   int // first visible line while it does not follow
	shift  cells.Sideways
	filter filter
}

func (p *logPane) press(c *console, d *deployScreen, k tea.KeyPressMsg) tea.Cmd {
	lines, h := p.lines(d), d.logRoom(c)
	if p.filter.typed != nil {
		p.filter.press(k)
		p.from = max(len(p.lines(d))-h, 0)
		return nil
	}
	if by, ok := c.step(k); ok {
		p.scroll(by, len(lines), h)
		return nil
	}
	switch {
	case key.Matches(k, c.keys.follow, c.keys.pause):
		p.from, p.follow = max(len(lines)-h, 0), !p.follow
	case key.Matches(k, c.keys.filter):
		p.filter.open()
	case key.Matches(k, c.keys.in):
		p.shift.Right(p.visible(lines, h), c.w)
	case k.String() == "left":
		p.shift.Left()
	case key.Matches(k, c.keys.save):
		return c.saveLog(d.progress.Upgrade, rendered(lines, 0))
	case key.Matches(k, c.keys.copy):
		return c.copy("the log", cells.String(rendered(lines, 0)))
	case p.filter.words != "" && key.Matches(k, c.keys.back):
		p.filter.clear()
	case key.Matches(k, c.keys.log, c.keys.back, c.keys.out, c.keys.quit):
		d.turn(paneBoard, true)
	}
	return nil
}

func (p *logPane) scroll(by, n, h int) {
	if p.follow {
		p.from = max(n-h, 0)
	}
	p.from = min(max(p.from+by, 0), max(n-h, 0))
	p.follow = by > 0 && p.from >= n-h
}

// lines are what the filter lets through: every word must occur; a leading ! inverts.
func (p *logPane) lines(d *deployScreen) []engine.LogLine {
	var out []engine.LogLine
	for _, l := range d.progress.Log {
		if logged(l) && (p.filter.words == "" || p.filter.lets(plainLog(l))) {
			out = append(out, l)
		}
	}
	return out
}

func plainLog(l engine.LogLine) string {
	return l.Machine + " " + l.Phase.Title() + " " + string(l.Status) + " " + l.Text
}

// visible are those of all lines that h rows show.
func (p *logPane) visible(all []engine.LogLine, h int) []cells.Line {
	from := p.first(len(all), h)
	return rendered(all[from:min(from+h, len(all))], p.shift)
}

func rendered(lines []engine.LogLine, shift cells.Sideways) []cells.Line {
	out := make([]cells.Line, len(lines))
	for i, l := range lines {
		out[i] = logLine(l, shift)
	}
	return out
}

// logRoom is how many lines the whole log has.
func (d *deployScreen) logRoom(c *console) int { return max(c.h-3, 0) }

// view renders the log for w×h cells.
func (p *logPane) view(d *deployScreen, w, h int) []cells.Line {
	all := p.lines(d)
	if len(all) == 0 {
		text := "Nothing has been reported yet."
		if p.filter.words != "" {
			text = "No line matches " + p.filter.words + ". esc clears the filter."
		}
		return cells.Fill([]cells.Line{nil, {cells.New(cells.Muted, "  "+text)}}, w, h)
	}
	return cells.Fill(p.visible(all, h), w, h)
}

// first is the first of n lines that h rows show.
func (p *logPane) first(n, h int) int {
	if p.follow {
		return max(n-h, 0)
	}
	return min(p.from, max(n-h, 0))
}

// heading tells whether the log follows, which part of it is shown, and the filter.
func (p *logPane) heading(d *deployScreen, h int) cells.Line {
	state := ", paused"
	if p.follow {
		state = ", following"
	}
	n := len(p.lines(d))
	l := cells.Line{{Text: placed("log: "+text.Counted(n, "line")+state, cells.Place(p.first(n, h), h, n)), Tone: cells.Muted}}
	if place := p.shift.Place(); place != "" {
		l = append(l, cells.New(cells.Muted, " · "+place))
	}
	if by := p.filter.line(cells.Muted); by != nil {
		l = append(append(l, cells.Span{Text: " · ", Tone: cells.Muted}), by...)
	}
	return l
}

func (p *logPane) hints(k keyMap) []hint {
	if p.filter.typed != nil {
		return []hint{{"enter", "keep"}, {"esc", "clear"}}
	}
	does := "follow"
	if p.follow {
		does = "pause"
	}
	return []hint{
		{"↑↓←→", "scroll"}, short(k.follow, does), short(k.filter, "filter"), short(k.save, "save"), short(k.copy, "copy"), {"esc", "back"},
		short(k.help, "help"),
	}
}

// logRows are the last lines of the log.
func (d *deployScreen) logRows(w, h int) []cells.Line {
	var lines []cells.Line
	for i := len(d.progress.Log) - 1; i >= 0 && len(lines) < h; i-- {
		if l := d.progress.Log[i]; logged(l) {
			lines = append(lines, logLine(l, 0))
		}
	}
	slices.Reverse(lines)
	return cells.Fill(lines, w, h)
}

// logged leaves out what says little: that a machine is waiting, or that one of its short phases has begun.
func logged(l engine.LogLine) bool {
	return l.Output || l.Status != engine.StatusPending && (l.Machine == "" || l.Status != engine.StatusRunning)
}

// logLine keeps time and machine where they are; what they have reported scrolls sideways.
func logLine(l engine.LogLine, shift cells.Sideways) cells.Line {
	at := cells.Span{Text: " " + l.At.Local().Format(time.TimeOnly) + " ", Tone: cells.Muted}
	if l.Output {
		return append(cells.Line{at, cells.New(cells.Muted, l.Phase.Title()+" │ ")}, shift.Of(cells.Line{cells.New(cells.Normal, l.Text)})...)
	}
	_, t := view.StatusLook(l.Status, "")
	where := l.Machine
	if where == "" {
		where = "fleet"
	}
	took := ""
	if l.Status.Final() && l.DurationUS > 0 {
		took = " in " + view.Micros(l.DurationUS)
	}
	said := cells.Line{cells.New(cells.Normal, l.Phase.Title()+" "), cells.New(t, string(l.Status)), cells.New(cells.Muted, took+"  "+l.Text)}
	return append(cells.Line{at, cells.New(cells.Normal, where+" ")}, shift.Of(said)...)
}
