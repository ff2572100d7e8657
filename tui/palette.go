package tui

import (
	"slices"
	"strings"

	"flydeploy/tui/cells"
	"flydeploy/tui/view"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// picker is the palette: it finds a command by its words. What it runs is a key of the screen below, so it can do nothing
// that a key cannot, and read-only mode holds here as well.
type picker struct {
	input *input
	at    int
}

// command is one entry: words, and the key that does it.
type command struct {
	words, shows string
	do           func(c *console) tea.Cmd
}

func (p *picker) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	found := p.found(c)
	switch k.String() {
	case "esc":
		c.picker = nil
	case "up", "shift+tab":
		p.at = max(p.at-1, 0)
	case "down", "tab":
		p.at = min(p.at+1, max(len(found)-1, 0))
	case "enter":
		c.picker = nil
		if p.at < len(found) {
			return found[p.at].do(c)
		}
		c.say("No command is called " + p.input.value())
	default:
		p.input.press(k)
		p.at = 0
	}
	return nil
}

// click puts the cursor on a row, or runs the command that has it already. What goes on with a deploy only a key can do.
func (p *picker) click(c *console, x, y int) tea.Cmd {
	box := p.view(c)
	left, top := cells.Middle(box, c.w, c.h)
	found := p.found(c)
	row := y - top - 3 // the frame, what is typed, and the place
	i := p.from(len(found)) + row
	if x < left || x >= left+box[0].Width() || row < 0 || row >= paletteRows || i >= len(found) {
		return nil
	}
	k, named := keyCalled(found[i].shows)
	if p.at != i || named && c.goesOnBelow(k) {
		p.at = i
		return nil
	}
	c.picker = nil
	return found[i].do(c)
}

// from is the first command that is shown.
func (p *picker) from(found int) int { return max(min(p.at-paletteRows/2, found-paletteRows), 0) }

// found are the commands of the screen below that hold every word typed, those that begin with it first; then those that hold its
// letters in their order: dply finds deploy.
func (p *picker) found(c *console) []command {
	var first, rest, loose []command
	typed := strings.ToLower(strings.TrimSpace(p.input.value()))
	for _, cmd := range append(c.commands(), c.viewCommands(strings.TrimLeft(p.input.value(), " "))...) {
		switch words := strings.ToLower(cmd.words); {
		case strings.HasPrefix(words, typed):
			first = append(first, cmd)
		case view.Filtered(typed, words):
			rest = append(rest, cmd)
		case inOrder(typed, words):
			loose = append(loose, cmd)
		}
	}
	return slices.Concat(first, rest, loose)
}

// inOrder reports whether the letters occur in the words in their order.
func inOrder(letters, words string) bool {
	for _, r := range strings.ReplaceAll(letters, " ", "") {
		_, after, found := strings.Cut(words, string(r))
		if !found {
			return false
		}
		words = after
	}
	return true
}

// commands are what the screen on top offers, then what is offered everywhere.
func (c *console) commands() []command {
	var all []command
	for _, b := range c.top().bindings(c) {
		if b.Enabled() {
			all = append(all, command{b.Help().Desc, firstShown(b), func(c *console) tea.Cmd { return c.top().press(c, pressOf(b)) }})
		}
	}
	switch s := c.top().(type) {
	case *fleet:
		if !s.about {
			all = append(append(all, sortCommands(fleetSorts)...), c.actCommands()...)
		}
	case *deployScreen:
		if s.pane == paneBoard && !s.planning(c.now) {
			all = append(all, sortCommands(boardSorts)...)
		}
	}
	if c.top() == screen(c.fleet) && c.opts.Apps != nil {
		all = append(all, command{"app: open another one", "", (*console).openApps})
	}
	if c.top() == screen(c.fleet) && c.opts.Setup != nil {
		all = append(all, command{"set up: what is needed", "", (*console).openSetup})
	}
	if len(c.opts.Settings) > 0 {
		all = append(all, command{"settings: what is in force", "", (*console).openSettings})
	}
	all = append(all,
		command{"help", firstShown(c.keys.help), func(c *console) tea.Cmd { c.openHelp(); return nil }},
		command{"theme dark", "", func(c *console) tea.Cmd { c.dress(c.skin, true); return nil }},
		command{"theme light", "", func(c *console) tea.Cmd { c.dress(c.skin, false); return nil }},
	)
	for _, skin := range cells.Skins {
		all = append(all, command{"skin " + string(skin), "", func(c *console) tea.Cmd { c.dress(skin, c.dark); return nil }})
	}
	return all
}

func sortCommands[T any](all []ordering[T]) []command {
	var out []command
	for _, o := range all {
		b := key.NewBinding(key.WithKeys(o.key))
		out = append(out, command{"sort by " + o.name, o.key, func(c *console) tea.Cmd { return c.top().press(c, pressOf(b)) }})
	}
	return out
}

const paletteRows = 8

// view renders the palette as a box.
func (p *picker) view(c *console) []cells.Line {
	w := min(c.w-4, 60) - 4
	lines := []cells.Line{append(cells.Line{{Text: ": ", Tone: cells.Active}}, p.input.line(cells.Strong)...), nil}
	found := p.found(c)
	from := p.from(len(found))
	for i := from; i < min(from+paletteRows, len(found)); i++ {
		row := append(cells.Line{cells.New(cells.Normal, found[i].words)}.Fit(w-14), cells.New(cells.Muted, found[i].shows))
		lines = append(lines, cells.ListRow(row, i == p.at, w))
	}
	if place := cells.Place(from, paletteRows, len(found)); place != "" {
		lines[1] = cells.Spread(nil, cells.Line{cells.New(cells.Muted, place)}, w)
	}
	if len(found) == 0 {
		lines = append(lines, cells.Line{{Text: "  no such command", Tone: cells.Muted}})
	}
	return cells.Frame("Commands", cells.Active, cells.Fill(lines, w, paletteRows+2), w+4)
}
