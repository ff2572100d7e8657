package cells

import (
	"image/color"
	"strings"

	"charm.land/lipgloss/v2"
)

// Tone says what a text means; the theme says how that looks.
type Tone int

// The tones.
const (
	Normal Tone = iota
	Strong
	Muted
	OK
	Active
	Warn
	Fail
	Border
	Heading
	Focus // the button in focus
	tones // how many there are
)

// colours holds colours that keep 4.5:1 on their background, also under the cursor's band, and that stay apart for
// colour-blind eyes; a test checks it. The band is a grey that terminals with 256 colours have, too.
type colours struct{ text, muted, ok, active, warn, fail, rule, band string }

var (
	darkColours = colours{
		text: "#e6edf3", muted: "#9aa4b2", ok: "#34d399", active: "#8ab4ff", warn: "#f2c744", fail: "#ff7b72",
		rule: "#4b5563", band: "#303030",
	}
	lightColours = colours{
		text: "#1f2328", muted: "#5b6470", ok: "#007a55", active: "#1d4ed8", warn: "#7a5600", fail: "#7f1d1d",
		rule: "#c3c9d1", band: "#eeeeee",
	}
)

// Theme paints lines. It is immutable.
type Theme struct {
	styles [tones][2]lipgloss.Style // plain, and on the cursor's band
	ascii  *strings.Replacer        // nil: glyphs as they are
}

// NewTheme makes the theme for a dark or a light background; ascii draws with ASCII alone.
func NewTheme(dark, ascii bool) Theme {
	p := lightColours
	if dark {
		p = darkColours
	}
	var t Theme
	for tone, s := range styles(p) {
		band := s.Background(lipgloss.Color(p.band))
		if s.GetForeground() == (lipgloss.NoColor{}) {
			band = band.Foreground(lipgloss.Color(p.text))
		}
		t.styles[tone] = [2]lipgloss.Style{s, band}
	}
	if ascii {
		t.ascii = asciiGlyphs
	}
	return t
}

// styles leave ordinary text in the terminal's own colour.
func styles(p colours) [tones]lipgloss.Style {
	plain := lipgloss.NewStyle().Inline(true)
	in := func(hex string) lipgloss.Style { return plain.Foreground(color.Color(lipgloss.Color(hex))) }
	return [tones]lipgloss.Style{
		Normal: plain, Strong: plain.Bold(true), Muted: in(p.muted), OK: in(p.ok), Active: in(p.active),
		Warn: in(p.warn), Fail: in(p.fail), Border: in(p.rule), Heading: in(p.active).Bold(true),
		Focus: in(p.active).Bold(true).Reverse(true),
	}
}

// Paint renders lines for the terminal.
func (t Theme) Paint(lines []Line) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		for j := 0; j < len(l); {
			run := l[j]
			for j++; j < len(l) && l[j].Tone == run.Tone && l[j].Band == run.Band && l[j].Link == run.Link; j++ {
				run.Text += l[j].Text
			}
			t.paintSpan(&b, run)
		}
	}
	return b.String()
}

func (t Theme) paintSpan(b *strings.Builder, s Span) {
	text := s.Text
	if text == "" {
		return
	}
	if t.ascii != nil {
		text = t.ascii.Replace(text)
	}
	if s.Link != "" { // OSC 8
		b.WriteString("\x1b]8;;" + s.Link + "\x1b\\")
		defer b.WriteString("\x1b]8;;\x1b\\")
	}
	switch {
	case s.Band:
		b.WriteString(t.styles[s.Tone][1].Render(text))
	case s.Tone == Normal:
		b.WriteString(text)
	default:
		b.WriteString(t.styles[s.Tone][0].Render(text))
	}
}

// asciiGlyphs maps every glyph that the console draws to one ASCII character: --ascii changes no width.
var asciiGlyphs = strings.NewReplacer(
	"✓", "+", "✗", "x", "●", "*", "○", "o", "◐", "~", "◆", "#", "▸", ">", "·", ".", "–", "-", "…", "~", "↺", "<",
	"─", "-", "│", "|", "╭", "+", "╮", "+", "╰", "+", "╯", "+", "█", "#", "▒", "x", "░", ".", "▓", "=", "▫", "o", "╎", "|", "├", "|", "┤", "|", "╵", "|", "µ", "u", "→", ">", "↑", "^", "↓", "v", "←", "<",
	"▏", ".", "▎", ".", "▍", "-", "▌", "-", "▋", "=", "▊", "=", "▉", "#", "▁", "_", "▂", ".", "▃", "-", "▄", "-", "▅", "=", "▆", "=", "▇", "#",
	"⠋", "|", "⠙", "/", "⠹", "-", "⠸", "\\", "⠼", "|", "⠴", "/", "⠦", "-", "⠧", "\\", "⠇", "|", "⠏", "/", "×", "x",
)
