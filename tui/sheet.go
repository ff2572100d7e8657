package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// sheet is what a deploy would be, over the screen below it: nothing is locked, built or started before enter.
type sheet struct {
	sel      engine.Selection
	machines []string // which take part, as far as they are known
	groups   []int    // how many of them each wave can hold, see engine.Grouped
	sources  []source
	from     cells.Line // what runs
	read     bool       // facts have come
	facts    engine.Sheet
	err      error

	row     sheetRow
	source  int
	kinds   []engine.StrategyKind
	kind    int // of kinds
	bake    time.Duration
	turned  bool // the strategy was chosen
	touched bool // the bake time was, and stays where the strategy changes
	message *input
}

// source is where the code comes from.
type source struct {
	words   string // "": as the command line says
	request engine.Request
}

// sheetRow is what the arrows change.
type sheetRow int

const (
	rowSource sheetRow = iota
	rowKind
	rowBake
	rowMessage
	sheetRows
)

// bakes are the times that can be chosen; another one that the command line names is among them, too.
var bakes = []time.Duration{0, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute}

// sheetMsg brings what a deploy would be.
type sheetMsg struct {
	of    *sheet
	facts engine.Sheet
	err   error
}

// openSheet asks what a deploy of some machines would be. sources are where its code may come from, beside what the command line says.
func (c *console) openSheet(sel engine.Selection, sources ...source) tea.Cmd {
	s := &sheet{kinds: engine.Strategies, sel: sel, machines: sel.Machines, sources: append(sources, source{}), message: newInput(""), row: rowKind}
	if c.fleet.seen {
		s.machines, s.from = c.fleet.Taking(sel), c.fleet.Upgrade(c.now)
	}
	s.groups = []int{len(s.machines)}
	if len(sources) > 0 {
		s.row = rowSource
	}
	c.sheet = s
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		facts, err := c.opts.Backend.Sheet(ctx)
		return sheetMsg{s, facts, err}
	})
}

func (c *console) onSheet(m sheetMsg) {
	s := m.of
	s.read, s.facts, s.err = true, m.facts, m.err
	if m.err == nil && !slices.Contains(s.kinds, m.facts.Strategy.Kind) { // waves of sizes of their own
		s.kinds = append([]engine.StrategyKind{m.facts.Strategy.Kind}, s.kinds...)
	}
	s.kind, s.bake = max(slices.Index(s.kinds, m.facts.Strategy.Kind), 0), m.facts.Strategy.Bake
	s.groups = c.groupsOf(s.machines, m.facts.Strategy.By)
	if s.message.value() == "" {
		s.message = newInput(m.facts.Message)
	}
	c.stale = true
}

func (s *sheet) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	switch name := k.String(); {
	case name == "esc":
		c.sheet = nil
	case name == "enter" && s.read:
		c.sheet = nil
		return c.startRequest(s.asked())
	case name == "up" || name == "shift+tab":
		s.step(-1)
	case name == "down" || name == "tab":
		s.step(1)
	case s.row == rowMessage:
		s.message.press(k)
	case name == "left" || name == "h":
		s.change(-1)
	case name == "right" || name == "l" || name == "space":
		s.change(1)
	}
	return nil
}

// step goes to another row; a source is one only where there are several.
func (s *sheet) step(by int) {
	s.row = (s.row + sheetRow(by) + sheetRows) % sheetRows
	if s.row == rowSource && len(s.sources) < 2 {
		s.step(by)
	}
}

func (s *sheet) change(by int) {
	turned := func(at, of int) int { return (at + by + of) % of }
	switch s.row {
	case rowSource:
		s.source = turned(s.source, len(s.sources))
	case rowKind:
		s.kind, s.turned = turned(s.kind, len(s.kinds)), true
		if !s.touched && s.facts.Strategy.Bake == engine.DefaultBake(s.facts.Strategy.Kind) {
			s.bake = engine.DefaultBake(s.kinds[s.kind])
		}
	case rowBake:
		all := bakes
		if !slices.Contains(all, s.facts.Strategy.Bake) {
			all = slices.Sorted(slices.Values(append(slices.Clone(all), s.facts.Strategy.Bake)))
		}
		s.bake, s.touched = all[turned(slices.Index(all, s.bake), len(all))], true
	}
}

// asked is the deploy that enter begins.
func (s *sheet) asked() engine.Request {
	r := s.sources[s.source].request
	r.Select, r.Chosen = s.sel, &engine.Choices{Message: text.Line(s.message.value())}
	if s.turned {
		r.Chosen.Kind = s.kinds[s.kind]
	}
	if s.bake != s.facts.Strategy.Bake || s.touched {
		r.Chosen.Bake = &s.bake
	}
	return r
}

// resumes reports whether the deploy finishes an earlier one, whose machines and strategy it has.
func (s *sheet) resumes() bool {
	from := s.sources[s.source]
	return from.request.Resume || from.words == "" && s.facts.Resumes
}

func (s *sheet) strategy() engine.Strategy {
	strategy := s.facts.Strategy
	strategy.Kind, strategy.Bake = s.kinds[s.kind], s.bake
	return strategy
}

func (s *sheet) hints() []hint {
	all := []hint{{"enter", "begin"}, {"↑↓", "choose"}, {"←→", "change"}, {"esc", "close"}}
	if s.row == rowMessage {
		all[2] = hint{"a-z", "type"}
	}
	return all
}

// view renders the sheet as a box.
func (s *sheet) view(c *console) []cells.Line {
	w := min(c.w-4, dialogWidth+12) - 4
	lines := s.about(c, w)
	lines = append(append(lines, nil), s.choices(w)...)
	last := "Enter begins: the plan comes first, and is asked about before anything is suspended."
	if !s.read {
		last = "Looking at what would be deployed..."
	}
	lines = append(append(lines, nil), cells.Paragraph(cells.Muted, last, w)...)
	if most := c.h - 4; len(lines) > most { // a low screen shows what can be chosen
		lines = append(s.choices(w), cells.Line{cells.New(cells.Muted, "Enter begins; a taller terminal shows what.")}.Fit(w))
	}
	return cells.Frame("Deploy "+c.opts.App, cells.Active, lines, w+4)
}

// sheetSpare is what two rows of some of the machines' ids leave free: for "all", and where the first row ends before an id.
const sheetSpare = 20

// about tells what is deployed where.
func (s *sheet) about(c *console, w int) []cells.Line {
	var lines []cells.Line
	if s.err != nil {
		lines = append(lines, view.Problem(engine.AsProblem(s.err), w)...)
	}
	from := cells.Line{{Text: "not known", Tone: cells.Muted}}
	if len(s.from) > 0 {
		from = s.from
	}
	lines = append(lines, append(cells.Line{{Text: "runs now", Tone: cells.Muted}}.Fit(cells.FactTitle), from...).Fit(w))
	if s.sources[s.source].words == "" && s.facts.Revision != "" {
		lines = append(lines, cells.FactLines("revision", view.Revision(s.facts), w)...)
	}
	where := view.Named(s.machines, 2*(w-cells.FactTitle))
	if strings.HasSuffix(where, "more") {
		where = view.Named(s.machines, 2*(w-cells.FactTitle)-sheetSpare)
	}
	switch {
	case s.resumes():
		where = "those of that deploy"
	case len(s.machines) == 0 && s.sel.Empty():
		where = "all"
	case len(s.machines) == 0:
		where = "those that were selected"
	case s.sel.Empty():
		where = "all " + where
	}
	return append(lines, cells.FactLines("machines", where, w)...)
}

// choices are what the arrows change.
func (s *sheet) choices(w int) []cells.Line {
	from := s.sources[s.source].words
	if from == "" {
		from = s.facts.Source
	}
	kind, watch := string(s.kinds[s.kind])+": "+s.strategy().Describe(s.groups...), "not at all"
	if s.bake > 0 {
		watch = "for " + text.Time(s.bake)
	}
	watch += " after the commit"
	if s.resumes() && !s.turned {
		kind = "as that deploy"
		if !s.touched {
			watch = kind
		}
	}
	lines := []cells.Line{
		s.choice(rowSource, "what", from, len(s.sources) > 1, w),
		s.choice(rowKind, "strategy", kind, true, w),
		s.choice(rowBake, "watch", watch, true, w),
	}
	message := cells.Line{cells.New(cells.Normal, s.message.value())}
	if s.row == rowMessage {
		message = s.message.line(cells.Strong)
	} else if s.message.value() == "" {
		message = cells.Line{{Text: "none", Tone: cells.Muted}}
	}
	return append(lines, append(s.title(rowMessage, "message"), message...).Fit(w))
}

func (s *sheet) title(row sheetRow, title string) cells.Line {
	if s.row == row {
		return append(cells.Line{{Text: "▸ ", Tone: cells.Active}}, cells.Line{{Text: title, Tone: cells.Strong}}.Fit(cells.FactTitle)...)
	}
	return append(cells.Line{cells.Blank(2)}, cells.Line{{Text: title, Tone: cells.Muted}}.Fit(cells.FactTitle)...)
}

func (s *sheet) choice(row sheetRow, title, value string, several bool, w int) cells.Line {
	l := s.title(row, title)
	if several && s.row == row {
		return append(l, cells.New(cells.Focus, "‹ "+cells.Cut(value, w-cells.FactTitle-6)+" ›")).Fit(w)
	}
	return append(l, cells.New(cells.Normal, value)).Fit(w)
}
