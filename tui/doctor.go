package tui

import (
	"context"
	"slices"
	"sync"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// doctorScreen shows the checks of everything that a deploy depends on, as they end.
type doctorScreen struct {
	checks []engine.Check
	come   *checks // those that have ended since the last tick
	stop   context.CancelFunc
	over   bool
	err    error
	page   cells.Page
}

// checks takes what the doctor tells, outside of Update.
type checks struct {
	mu  sync.Mutex
	new []engine.Check
}

func (c *checks) add(one engine.Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.new = append(c.new, one)
}

func (c *checks) take() []engine.Check {
	c.mu.Lock()
	defer c.mu.Unlock()
	come := c.new
	c.new = nil
	return come
}

// examinedMsg says that all checks have been made, or why not.
type examinedMsg struct {
	of  *doctorScreen
	err error
}

// openDoctor makes all checks, again where they have been made.
func (c *console) openDoctor() tea.Cmd {
	ctx, stop := context.WithCancel(c.work.ctx)
	s := &doctorScreen{come: &checks{}, stop: stop}
	c.doctor = s
	return c.work.cmd(func(context.Context) tea.Msg {
		defer stop()
		return examinedMsg{s, c.opts.Acts.Doctor(ctx, s.come.add)}
	})
}

func (c *console) onExamined(m examinedMsg) {
	if c.doctor == m.of {
		m.of.over, m.of.err, c.stale = true, m.err, true
		m.of.onTick()
	}
}

// onTick shows what has come.
func (s *doctorScreen) onTick() { s.checks = append(s.checks, s.come.take()...) }

func (s *doctorScreen) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	if by, ok := c.step(k); ok {
		s.page.Scroll += by
		return nil
	}
	switch {
	case key.Matches(k, c.keys.copy):
		return c.copy("the report", cells.String(s.lines(100)))
	case key.Matches(k, c.keys.look) && s.over:
		return c.openDoctor()
	case key.Matches(k, c.keys.back, c.keys.out):
		s.stop()
		c.doctor = nil
		return c.poll(0)
	case key.Matches(k, c.keys.quit):
		return tea.Quit
	}
	return nil
}

func (s *doctorScreen) rows(c *console) int { return max(c.h-4, 1) }

func (s *doctorScreen) settle(c *console) {
	s.page.Show(nil, func() []cells.Line { return s.lines(c.w - 2) })
	s.page.Clamp(s.rows(c))
}

// lines are what failed, then what is to be warned of, then all else, each in the order in which it was looked at.
func (s *doctorScreen) lines(w int) []cells.Line {
	worst := []engine.CheckStatus{engine.CheckWarn, engine.CheckFail} // all others are -1
	all := slices.Clone(s.checks)
	slices.SortStableFunc(all, func(a, b engine.Check) int { return slices.Index(worst, b.Status) - slices.Index(worst, a.Status) })
	lines := []cells.Line{view.DoctorTotals(all), nil}
	for _, check := range all {
		lines = append(lines, view.DoctorCheck(check, w)...)
	}
	if s.err != nil {
		lines = append(append(lines, nil), view.Problem(engine.AsProblem(s.err), w)...)
	}
	return lines
}

func (s *doctorScreen) view(c *console) []cells.Line {
	status := cells.Line{cells.New(cells.Active, c.spin()+" looking")}
	if s.over {
		status = nil
	}
	lines := []cells.Line{
		c.title(cells.Line{{Text: "doctor", Tone: cells.Normal}}, status), cells.Rule(placed("what a deploy depends on", s.page.Place(s.rows(c))), c.w),
	}
	return cells.Fill(append(append(lines, s.page.View(c.w, s.rows(c))...), cells.Rule("", c.w), c.bottom(s.hints(c)...)), c.w, c.h)
}

func (s *doctorScreen) hints(c *console) []hint {
	k := c.keys
	k.look.SetEnabled(s.over)
	return []hint{{"esc", "back"}, {"↑↓", "scroll"}, short(k.look, "look again"), short(k.copy, "copy"), short(k.help, "help"), short(k.quit, "quit")}
}

func (s *doctorScreen) bindings(c *console) []key.Binding {
	k := c.keys
	k.look.SetEnabled(s.over)
	return []key.Binding{k.look, k.copy, k.back, k.quit}
}

func (s *doctorScreen) tiny(*console) cells.Line { return view.DoctorTotals(s.checks) }
