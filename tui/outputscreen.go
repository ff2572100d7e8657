package tui

import (
	"context"
	"path/filepath"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// outputScreen shows what machines print. While it follows, its last line is the newest; scrolling up pauses it.
type outputScreen struct {
	machine string        // whose lines; those of all where ofAll is set
	of      *deployScreen // the deploy that it was opened from, nil for none
	shows   outputChoice
	follow  bool
	filter  filter
	from    int // first visible line while it does not follow
	shift   cells.Sideways

	shown  []outputLine // what the filters let through
	errors int          // of those
	choice outputChoice // that they were chosen by
	read   int          // how many lines were looked at, with those that are gone
}

// outputChoice is which lines are shown.
type outputChoice struct {
	ofAll, onlyErrors bool
	words             string
	since             time.Time // zero: from the first on
}

// openOutput shows what a machine prints, or all of them where none is meant; of a deploy what they have printed since its commit.
func (c *console) openOutput(machine string, of *deployScreen) tea.Cmd {
	s := &outputScreen{machine: machine, of: of, follow: true}
	s.shows.ofAll = machine == ""
	if of != nil {
		s.shows.since = of.committedAt()
	}
	c.output = s
	return c.readOutput(0)
}

// close goes back to the screen below.
func (s *outputScreen) close(c *console) tea.Cmd {
	c.output = nil
	if c.top() == screen(c.fleet) {
		return c.poll(0)
	}
	return nil
}

func (s *outputScreen) lets(l outputLine) bool {
	return (s.shows.ofAll || l.Machine == s.machine) && (!s.shows.onlyErrors || l.level == view.LineFail) &&
		(s.shows.since.IsZero() || !l.At.Before(s.shows.since)) &&
		(s.shows.words == "" || view.Filtered(s.shows.words, l.Machine+" "+l.Level+" "+l.Text))
}

// choose takes in the lines that have come; all of them again only where others are wanted.
func (s *outputScreen) choose(o *outputs) {
	s.shows.words = s.filter.words
	if s.choice != s.shows {
		s.choice, s.shown, s.errors, s.read = s.shows, nil, 0, o.gone
	}
	s.forget(o.gone)
	for _, l := range o.lines[max(s.read-o.gone, 0):] {
		if s.lets(l) {
			s.shown = append(s.shown, l)
			if l.level == view.LineFail {
				s.errors++
			}
		}
	}
	s.read = o.gone + len(o.lines)
}

// forget drops the lines before a number; what is on the screen stays where it is.
func (s *outputScreen) forget(before int) {
	gone := 0
	for ; gone < len(s.shown) && s.shown[gone].number < before; gone++ {
		if s.shown[gone].level == view.LineFail {
			s.errors--
		}
	}
	if gone > 0 {
		s.shown, s.from = append([]outputLine(nil), s.shown[gone:]...), s.from-gone
	}
}

func (s *outputScreen) rows(c *console) int { return max(c.h-3, 1) }

func (s *outputScreen) settle(c *console) {
	s.choose(&c.outputs)
	most := max(len(s.shown)-s.rows(c), 0)
	if s.from = min(max(s.from, 0), most); s.follow {
		s.from = most
	}
}

func (s *outputScreen) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	if s.filter.typed != nil {
		s.filter.press(k)
		return nil
	}
	if by, ok := c.step(k); ok {
		s.from += by
		s.follow = by > 0 && s.from >= len(s.shown)-s.rows(c)
		return nil
	}
	switch {
	case key.Matches(k, c.keys.follow, c.keys.pause):
		s.follow = !s.follow
	case key.Matches(k, c.keys.filter):
		s.filter.open()
	case key.Matches(k, c.keys.ofAll):
		s.shows.ofAll = !s.shows.ofAll || s.machine == ""
	case key.Matches(k, c.keys.onlyErrors):
		s.shows.onlyErrors = !s.shows.onlyErrors
	case key.Matches(k, c.keys.sinceCommit) && s.of != nil:
		s.toggleSince()
	case key.Matches(k, c.keys.in):
		s.shift.Right(s.visible(c), c.w)
	case k.String() == "left":
		s.shift.Left()
	case key.Matches(k, c.keys.save):
		return s.save(c)
	case key.Matches(k, c.keys.copy):
		return c.copy(text.Counted(len(s.shown), "line"), cells.String(s.rendered(0, len(s.shown), 0)))
	case s.filter.words != "" && key.Matches(k, c.keys.back):
		s.filter.clear()
	case key.Matches(k, c.keys.logs, c.keys.back, c.keys.out, c.keys.quit):
		return s.close(c)
	}
	return nil
}

func (s *outputScreen) toggleSince() {
	if !s.shows.since.IsZero() {
		s.shows.since = time.Time{}
		return
	}
	s.shows.since = s.of.committedAt()
}

// visible are the lines on the screen.
func (s *outputScreen) visible(c *console) []cells.Line {
	return s.rendered(s.from, min(s.from+s.rows(c), len(s.shown)), s.shift)
}

func (s *outputScreen) rendered(from, to int, shift cells.Sideways) []cells.Line {
	out := make([]cells.Line, 0, to-from)
	for _, l := range s.shown[from:to] {
		out = append(out, view.MachineLine(l.MachineLine, l.level, shift))
	}
	return out
}

func (s *outputScreen) view(c *console) []cells.Line {
	w, h := c.w, s.rows(c)
	lines := []cells.Line{c.title(cells.Line{cells.New(cells.Normal, s.title())}, s.status(c)), cells.RuleLine(s.heading(h), w)}
	body := cells.Fill(s.visible(c), w, h)
	if len(s.shown) == 0 {
		body = cells.Fill(append([]cells.Line{nil}, s.empty(c, w-2)...), w, h)
	}
	return append(cells.Fill(append(lines, body...), w, c.h-1), c.bottom(s.hints(c.keys)...).Fit(w))
}

func (s *outputScreen) title() string {
	if s.shows.ofAll {
		return "logs of all machines"
	}
	return "logs of " + s.machine
}

// status tells how old what is shown is.
func (s *outputScreen) status(c *console) cells.Line {
	o := &c.outputs
	switch {
	case o.err != nil:
		return cells.Line{cells.New(cells.Warn, "! "+o.err.Error())}
	case o.readAt.IsZero():
		return cells.Line{{Text: "reading", Tone: cells.Muted}}
	case c.now.Sub(o.readAt) > staleAfter:
		return cells.Line{cells.New(cells.Warn, "! "+text.Seconds(c.now.Sub(o.readAt))+" old, no answer yet")}
	case s.follow:
		return cells.Line{{Text: "following", Tone: cells.Active}}
	}
	return cells.Line{{Text: "paused", Tone: cells.Strong}}
}

func (s *outputScreen) heading(h int) cells.Line {
	l := cells.Line{cells.New(cells.Muted, text.Counted(len(s.shown), "line"))}
	if s.errors > 0 {
		l = append(l, cells.New(cells.Fail, " · ✗ "+text.Counted(s.errors, "error line")))
	}
	add := func(words string) { l = append(l, cells.New(cells.Muted, " · "+words)) }
	if s.shows.onlyErrors {
		add("only errors")
	}
	if !s.shows.since.IsZero() {
		add("since the commit at " + s.shows.since.Local().Format(time.TimeOnly))
	}
	if place := cells.Place(s.from, h, len(s.shown)); place != "" {
		add(place)
	}
	if place := s.shift.Place(); place != "" {
		add(place)
	}
	if by := s.filter.line(cells.Muted); by != nil {
		l = append(append(l, cells.Span{Text: " · ", Tone: cells.Muted}), by...)
	}
	return l
}

// empty says why there is no line.
func (s *outputScreen) empty(c *console, w int) []cells.Line {
	switch o := &c.outputs; {
	case o.err != nil:
		return view.Problem(engine.AsProblem(o.err), w)
	case o.readAt.IsZero():
		return []cells.Line{{{Text: "  Reading the logs...", Tone: cells.Muted}}}
	case s.filter.words != "":
		return []cells.Line{{cells.New(cells.Muted, "  No line matches "+s.filter.words+". esc clears the filter.")}}
	case s.shows.onlyErrors:
		return []cells.Line{{cells.New(cells.Muted, "  There is no error in the lines so far. "+firstShown(c.keys.onlyErrors)+" shows all.")}}
	case !s.shows.since.IsZero():
		return []cells.Line{{cells.New(cells.Muted, "  Nothing has been printed since the commit. "+firstShown(c.keys.sinceCommit)+" shows what came before.")}}
	}
	return []cells.Line{{{Text: "  Nothing has been printed lately.", Tone: cells.Muted}}}
}

func (s *outputScreen) hints(k keyMap) []hint {
	if s.filter.typed != nil {
		return []hint{{"enter", "keep"}, {"esc", "clear"}}
	}
	follow, all, errors, since := "follow", "all machines", "only errors", hint{}
	if s.follow {
		follow = "pause"
	}
	if s.shows.ofAll {
		all = "one machine"
	}
	if s.machine == "" {
		k.ofAll.SetEnabled(false)
	}
	if s.shows.onlyErrors {
		errors = "all lines"
	}
	switch {
	case s.of == nil:
	case s.shows.since.IsZero():
		since = short(k.sinceCommit, "since the commit")
	default:
		since = short(k.sinceCommit, "from before, too")
	}
	return []hint{
		short(k.follow, follow), short(k.filter, "filter"), short(k.ofAll, all), short(k.onlyErrors, errors), since, {"esc", "back"}, {"↑↓←→", "scroll"},
		short(k.save, "save"), short(k.copy, "copy"), short(k.help, "help"),
	}
}

func (s *outputScreen) bindings(c *console) []key.Binding {
	k := c.keys
	k.ofAll.SetEnabled(s.machine != "")
	k.sinceCommit.SetEnabled(s.of != nil)
	return []key.Binding{k.follow, k.filter, k.ofAll, k.onlyErrors, k.sinceCommit, k.save, k.copy, k.back}
}

func (s *outputScreen) tiny(c *console) cells.Line { return c.below().tiny(c) }

// save writes the lines that are shown to a file.
func (s *outputScreen) save(c *console) tea.Cmd {
	whose := s.machine
	if s.shows.ofAll {
		whose = "machines"
	}
	name := filepath.Join(c.opts.cacheDir(), filepath.Base(whose)+".log")
	content := cells.String(s.rendered(0, len(s.shown), 0))
	return c.work.cmd(func(context.Context) tea.Msg {
		file, err := writeText(name, content)
		return savedMsg{file, err}
	})
}

// outputRows are the last lines that the machines of a deploy have printed since its commit.
func (d *deployScreen) outputRows(c *console, w, h int) []cells.Line {
	o, since := &c.outputs, d.committedAt()
	var lines []cells.Line
	for i := len(o.lines) - 1; i >= 0 && len(lines) < h; i-- {
		if o.lines[i].At.Before(since) { // a late one may stand among those of the deploy
			continue
		}
		lines = append([]cells.Line{view.MachineLine(o.lines[i].MachineLine, o.lines[i].level, 0)}, lines...)
	}
	if len(lines) == 0 && o.err != nil {
		return cells.Fill(view.Problem(engine.AsProblem(o.err), w), w, h)
	}
	if len(lines) == 0 {
		lines = []cells.Line{{{Text: " Nothing has been printed yet.", Tone: cells.Muted}}}
	}
	return cells.Fill(lines, w, h)
}
