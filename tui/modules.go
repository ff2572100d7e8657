package tui

import (
	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// modulesPane lists the modules that change. Each opens to show its functions.
type modulesPane struct {
	at     int             // the module under the cursor
	opened map[string]bool // by module
	rows   cells.List      // which lines are visible
	below  pane            // what it was opened from
}

// showModules opens the list, or closes it.
func (d *deployScreen) showModules() {
	if d.progress.Plan == nil || len(d.progress.Plan.Modules) == 0 {
		return
	}
	if d.pane == paneModules {
		d.turn(d.modules.below, true)
		return
	}
	d.modules.below, d.pane = d.pane, paneModules
	if d.modules.opened == nil {
		d.modules.opened = map[string]bool{}
	}
}

func (m *modulesPane) press(c *console, d *deployScreen, k tea.KeyPressMsg) tea.Cmd {
	all := d.progress.Plan.Modules
	if by, ok := c.step(k); ok {
		m.at = min(max(m.at+by, 0), len(all)-1)
		return nil
	}
	switch {
	case key.Matches(k, c.keys.details):
		m.opened[all[m.at].Module] = !m.opened[all[m.at].Module]
	case key.Matches(k, c.keys.in):
		m.opened[all[m.at].Module] = true
	case key.Matches(k, c.keys.out) && m.opened[all[m.at].Module]:
		m.opened[all[m.at].Module] = false
	case key.Matches(k, c.keys.modules, c.keys.back, c.keys.out, c.keys.quit):
		d.showModules()
	case key.Matches(k, c.keys.copy):
		return c.copy("what changes", cells.String(view.Functions(d.progress.Plan, 100)))
	}
	return nil
}

// view shows h lines of the list, with the cursor and, if there is room, all that is open below it, and says which lines these are.
func (m *modulesPane) view(p *engine.Plan, w, h int) (shown []cells.Line, place string) {
	var lines []cells.Line
	from, to := 0, 0
	for i, module := range p.Modules {
		if i == m.at {
			from = len(lines)
		}
		lines = append(lines, cells.ListRow(view.ModuleRow(module, w-2), i == m.at, w))
		if m.opened[module.Module] {
			for _, l := range view.FunctionLines(module, w-5) {
				lines = append(lines, append(cells.Line{cells.Blank(4)}, l...))
			}
		}
		if i == m.at {
			to = len(lines) - 1
		}
	}
	m.rows.At = to
	m.rows.Reveal(len(lines), h)
	m.rows.At = from
	m.rows.Reveal(len(lines), h)
	first, last := m.rows.Window(len(lines), h)
	return cells.Fill(lines[first:last], w, h), cells.Place(first, h, len(lines))
}

func (m *modulesPane) hints(k keyMap) []hint {
	return []hint{{"↑↓", "select"}, {"enter", "functions"}, {"esc", "back"}, short(k.copy, "copy all"), short(k.help, "help")}
}
