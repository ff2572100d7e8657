package tui

import (
	"context"
	"slices"
	"strings"
	"sync"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// setupScreen tells what an app needs before it can be upgraded, what of that is there, and the commands that bring the rest.
type setupScreen struct {
	steps []engine.SetupStep
	seen  bool
	asks  bool
	at    int // the step under the cursor
	page  cells.Page
	moved bool        // the operator has chosen a step
	come  *knownSteps // as far as is known
}

// knownSteps takes what is known of the steps, outside of Update.
type knownSteps struct {
	mu    sync.Mutex
	steps []engine.SetupStep
}

func (s *knownSteps) put(steps []engine.SetupStep) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = slices.Clone(steps)
}

func (s *knownSteps) last() []engine.SetupStep {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steps
}

// setupMsg brings the steps when all is known.
type setupMsg struct {
	of    *setupScreen
	steps []engine.SetupStep
}

func (c *console) openSetup() tea.Cmd {
	if c.opts.Setup == nil {
		return nil
	}
	c.setup = &setupScreen{}
	return c.readSetup()
}

func (c *console) readSetup() tea.Cmd {
	of, come := c.setup, &knownSteps{}
	of.asks, of.come = true, come
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		c.opts.Setup(ctx, come.put)
		return setupMsg{of, come.last()}
	})
}

func (c *console) onSetup(m setupMsg) {
	if c.setup != m.of {
		return
	}
	c.setup.asks, c.stale = false, true
	c.setup.show(m.steps)
}

// onTick shows what is known by now.
func (s *setupScreen) onTick() {
	if steps := s.come.last(); steps != nil {
		s.show(steps)
	}
}

// show puts the cursor on the first step that is not done, unless the operator has put it somewhere.
func (s *setupScreen) show(steps []engine.SetupStep) {
	s.seen, s.steps = true, steps
	for at := 0; !s.moved && at < len(s.steps); at++ {
		if s.at = at; s.steps[at].Status != engine.StatusDone {
			break
		}
	}
}

func (s *setupScreen) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	if by, ok := c.step(k); ok {
		s.at, s.moved = min(max(s.at+by, 0), max(len(s.steps)-1, 0)), true
		return nil
	}
	switch {
	case key.Matches(k, c.keys.copy) && s.isDone():
		c.say("That is there already: there is nothing to copy")
	case key.Matches(k, c.keys.copy) && s.at < len(s.steps):
		return c.copy("the commands", strings.Join(s.steps[s.at].Commands, "\n"))
	case pressed(k, c.keys.look) && !s.asks:
		return c.readSetup()
	case key.Matches(k, c.keys.details) && s.mayGoOn(c):
		c.next = &Next{App: c.opts.App}
		return tea.Quit
	case key.Matches(k, c.keys.back, c.keys.out) && c.opts.Backend != nil:
		c.setup = nil
		return c.poll(0)
	case key.Matches(k, c.keys.quit):
		return tea.Quit
	}
	return nil
}

// isDone reports whether the step under the cursor is done: its commands are not shown.
func (s *setupScreen) isDone() bool {
	return s.at < len(s.steps) && s.steps[s.at].Status == engine.StatusDone
}

// mayGoOn reports whether what kept the console from opening is right by now: the first step, which is the token.
func (s *setupScreen) mayGoOn(c *console) bool {
	return c.opts.Backend == nil && len(s.steps) > 0 && s.steps[0].Status == engine.StatusDone
}

func (s *setupScreen) rows(c *console) int { return max(c.h-4, 1) }

func (s *setupScreen) settle(c *console) {
	top, bottom := 0, 0
	s.page.Show(nil, func() []cells.Line {
		lines, from, to := s.lines(c, c.w-2)
		top, bottom = from, to
		return lines
	})
	s.page.Scroll = min(max(s.page.Scroll, bottom-s.rows(c)), top)
	s.page.Clamp(s.rows(c))
}

// lines are the steps, and where the one under the cursor begins and ends.
func (s *setupScreen) lines(c *console, w int) (lines []cells.Line, top, bottom int) {
	if !s.seen {
		return []cells.Line{nil, {{Text: " Looking at what is there...", Tone: cells.Muted}}}, 0, 0
	}
	for i, step := range s.steps {
		if i == s.at {
			top = len(lines)
		}
		glyph, tone := view.StatusLook(step.Status, c.spin())
		mark := cells.Span{Text: "  "}
		if i == s.at {
			mark = cells.Span{Text: "▸ ", Tone: cells.Active}
		}
		head := cells.Line{mark, {Text: glyph + " ", Tone: tone}}
		for _, row := range cells.Wrap(step.Title, w-4) {
			lines = append(lines, append(head, cells.New(cells.Strong, row)))
			head = cells.Line{cells.Blank(4)}
		}
		for _, l := range cells.Paragraph(cells.Normal, text.Block(step.Text), w-4) {
			lines = append(lines, append(cells.Line{cells.Blank(4)}, l...))
		}
		commands := step.Commands
		if step.Status == engine.StatusDone {
			commands = nil // they are no news
		}
		for _, command := range commands {
			for _, row := range cells.Wrap(command, w-6) {
				lines = append(lines, cells.Line{cells.Blank(6), {Text: row, Tone: cells.Active}})
			}
		}
		if i == s.at {
			bottom = len(lines)
		}
		lines = append(lines, nil)
	}
	return lines, top, bottom
}

func (s *setupScreen) view(c *console) []cells.Line {
	status := cells.Line{}
	if s.asks {
		status = cells.Line{{Text: c.spin() + " looking", Tone: cells.Active}}
	}
	lines := []cells.Line{
		c.title(cells.Line{{Text: "what is needed", Tone: cells.Normal}}, status), cells.Rule(placed("before the first hot upgrade", s.page.Place(s.rows(c))), c.w),
	}
	return cells.Fill(append(append(lines, s.page.View(c.w, s.rows(c))...), cells.Rule("", c.w), c.bottom(s.hints(c)...)), c.w, c.h)
}

func (s *setupScreen) hints(c *console) []hint {
	var on, back hint
	copied := short(c.keys.copy, "copy the commands")
	if !s.seen || s.isDone() {
		copied = hint{}
	}
	if s.mayGoOn(c) {
		on = hint{"enter", "go on"}
	}
	if c.opts.Backend != nil {
		back = hint{"esc", "back"}
	}
	return []hint{on, copied, back, {firstShown(c.keys.look), "look again"}, {"↑↓", "choose"}, short(c.keys.help, "help"), short(c.keys.quit, "quit")}
}

func (s *setupScreen) bindings(c *console) []key.Binding {
	on, look := c.keys.details, c.keys.look
	on.SetHelp(on.Help().Key, "go on")
	on.SetEnabled(s.mayGoOn(c))
	look.SetEnabled(true)
	return []key.Binding{on, look, c.keys.copy, c.keys.back, c.keys.quit}
}

func (s *setupScreen) tiny(*console) cells.Line {
	return cells.Line{{Text: "Something is missing: enlarge the terminal to see what", Tone: cells.Warn}}
}
