package tui

import (
	"context"
	"slices"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// appsScreen lists the apps that the token may see, to open the console on one of them.
type appsScreen struct {
	all    []engine.FlyApp
	rows   []engine.FlyApp // what the filter lets through
	seen   bool
	err    error
	list   cells.List
	filter filter
}

// appsMsg brings the apps, or why they are not known.
type appsMsg struct {
	of   *appsScreen
	apps []engine.FlyApp
	err  error
}

func (c *console) openApps() tea.Cmd {
	if c.opts.Apps == nil {
		return nil
	}
	c.apps = &appsScreen{}
	return c.readApps()
}

func (c *console) readApps() tea.Cmd {
	of := c.apps
	return c.work.cmd(func(ctx context.Context) tea.Msg {
		apps, err := c.opts.Apps(ctx)
		return appsMsg{of, apps, err}
	})
}

func (c *console) onApps(m appsMsg) {
	if c.apps != m.of {
		return
	}
	s := c.apps
	c.stale = true
	if s.err = m.err; m.err != nil {
		return
	}
	s.seen, s.all = true, m.apps
	slices.SortStableFunc(s.all, view.ByLastOpened)
	s.build()
}

func (s *appsScreen) build() {
	s.rows = nil
	for _, a := range s.all {
		if s.filter.lets(a.Name + " " + a.Org + " " + a.Status) {
			s.rows = append(s.rows, a)
		}
	}
	s.list.Move(0, len(s.rows))
}

func (s *appsScreen) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	if s.filter.typed != nil && k.String() != "enter" {
		s.filter.press(k)
		s.build()
		return nil
	}
	if by, ok := c.step(k); ok {
		s.list.Move(by, len(s.rows))
		return nil
	}
	switch {
	case key.Matches(k, c.keys.details, c.keys.in):
		return s.open(c)
	case key.Matches(k, c.keys.filter):
		s.filter.open()
	case pressed(k, c.keys.look):
		return c.readApps()
	case s.filter.words != "" && key.Matches(k, c.keys.back):
		s.filter.clear()
		s.build()
	case key.Matches(k, c.keys.back, c.keys.out) && c.opts.Backend != nil:
		c.apps = nil
		return c.poll(0)
	case key.Matches(k, c.keys.quit):
		return tea.Quit
	}
	return nil
}

// open leaves this console for one on the app under the cursor.
func (s *appsScreen) open(c *console) tea.Cmd {
	s.filter.typed = nil
	if s.list.At >= len(s.rows) {
		return nil
	}
	app := s.rows[s.list.At].Name
	if c.opts.Backend != nil && app == c.opts.App {
		c.apps = nil
		return c.poll(0)
	}
	c.next = &Next{App: app}
	return tea.Quit
}

func (s *appsScreen) rowsOf(c *console) int { return max(c.h-4, 1) }

func (s *appsScreen) settle(c *console) { s.list.Reveal(len(s.rows), s.rowsOf(c)-1) }

func (s *appsScreen) view(c *console) []cells.Line {
	w, h := c.w, s.rowsOf(c)
	from, _ := s.list.Window(len(s.rows), h-1)
	status := cells.Line{cells.New(cells.Muted, cells.Place(from, h-1, len(s.rows)))}
	if by := s.filter.line(cells.Active); by != nil {
		status = append(append(by, cells.Blank(2)), status...)
	}
	lines := []cells.Line{c.title(cells.Line{{Text: "which app?", Tone: cells.Normal}}, status), cells.Rule("apps that your token may see", w)}
	return cells.Fill(append(append(lines, s.table(c, w, h)...), cells.Rule("", w), c.bottom(s.hints(c)...)), w, c.h)
}

func (s *appsScreen) table(c *console, w, h int) []cells.Line {
	switch {
	case s.err != nil:
		return cells.Fill(view.Problem(engine.AsProblem(s.err), w), w, h)
	case !s.seen:
		return cells.Fill([]cells.Line{nil, {{Text: "  Asking Fly for the apps...", Tone: cells.Muted}}}, w, h)
	case len(s.all) == 0:
		return cells.Fill(append([]cells.Line{nil}, cells.Paragraph(cells.Muted, "This token sees no app. `fly apps create` makes one, and with another login (`fly auth login`) there may be others.", w-2)...), w, h)
	case len(s.rows) == 0:
		return cells.Fill([]cells.Line{nil, {cells.New(cells.Muted, "  No app matches "+s.filter.words+". esc clears the filter.")}}, w, h)
	}
	cols := []cells.Column{{Title: "APP"}, {Title: "ORGANISATION", Drop: 2}, {Title: "STATUS", Drop: 3}, {Title: "LAST OPENED HERE", Width: 16, Drop: 1}, {Title: "", Width: 10, Grows: true}}
	rows := make([][]cells.Span, len(s.rows))
	for i, a := range s.rows {
		rows[i] = s.cells(a, c.now)
		for j := range 3 {
			cols[j].Width = min(max(cols[j].Width, cells.Width(rows[i][j].Text)), 40)
		}
	}
	cols = cells.FitColumns(cols, w-2)
	lines := []cells.Line{append(cells.Line{cells.Blank(2)}, cells.Head(cols)...)}
	from, to := s.list.Window(len(s.rows), h-1)
	for i := from; i < to; i++ {
		lines = append(lines, cells.ListRow(cells.Row(cols, rows[i]), i == s.list.At, w))
	}
	return cells.Fill(lines, w, h)
}

func (s *appsScreen) cells(a engine.FlyApp, now time.Time) []cells.Span {
	status := cells.New(cells.Muted, "○ "+a.Status)
	if a.Status == "deployed" {
		status = cells.New(cells.OK, "● "+a.Status)
	}
	opened, note := "", ""
	if !a.Opened.IsZero() {
		opened = view.Ago(now.Sub(a.Opened))
	}
	if a.Here {
		note = "this folder"
	}
	return []cells.Span{cells.New(cells.Normal, a.Name), cells.New(cells.Muted, a.Org), status, cells.New(cells.Muted, opened), cells.New(cells.Muted, note)}
}

func (s *appsScreen) hints(c *console) []hint {
	if s.filter.typed != nil {
		return []hint{{"enter", "open"}, {"esc", "clear"}}
	}
	back := hint{}
	if c.opts.Backend != nil {
		back = hint{"esc", "back"}
	}
	return []hint{{"enter", "open"}, short(c.keys.filter, "filter"), back, {firstShown(c.keys.look), "ask again"}, short(c.keys.help, "help"), short(c.keys.quit, "quit")}
}

func (s *appsScreen) bindings(c *console) []key.Binding {
	open, look := c.keys.details, c.keys.look
	open.SetHelp(open.Help().Key, "open the console on it")
	look.SetHelp(look.Help().Key, "ask again")
	look.SetEnabled(true)
	return []key.Binding{open, c.keys.filter, look, c.keys.back, c.keys.quit}
}

func (s *appsScreen) tiny(*console) cells.Line {
	return cells.Line{{Text: "which app? enlarge the terminal to choose", Tone: cells.Normal}}
}
