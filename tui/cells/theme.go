package cells

import (
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

// Theme paints lines. It is immutable.
type Theme struct {
	styles [tones][2]lipgloss.Style // plain, and on the cursor's band
	ascii  *strings.Replacer        // nil: glyphs as they are
	// grounded: the skin has a background of its own, so that ordinary text is painted, too.
	grounded bool
}

// NewTheme makes the theme of a skin for a dark or a light background; ascii draws with ASCII alone.
func NewTheme(skin Skin, dark, ascii bool) Theme {
	t := Theme{styles: skin.styles(dark), grounded: darkColours[skin].ground != ""}
	if ascii {
		t.ascii = asciiGlyphs
	}
	return t
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
	case s.Tone == Normal && !t.grounded:
		b.WriteString(text)
	default:
		b.WriteString(t.styles[s.Tone][0].Render(text))
	}
}

// asciiGlyphs maps every glyph that the console draws to one ASCII character: --ascii changes no width.
var asciiGlyphs = strings.NewReplacer(
	"✓", "+", "✗", "x", "●", "*", "○", "o", "◐", "~", "◆", "#", "▸", ">", "·", ".", "–", "-", "…", "~", "↺", "<",
	"─", "-", "│", "|", "╭", "+", "╮", "+", "╰", "+", "╯", "+", "█", "#", "▒", "x", "░", ".", "▓", "=", "▫", "o", "╎", "|", "┼", "+", "├", "|", "┤", "|", "╵", "|", "µ", "u", "→", ">", "↑", "^", "↓", "v", "←", "<",
	"▏", ".", "▎", ".", "▍", "-", "▌", "-", "▋", "=", "▊", "=", "▉", "#", "▁", "_", "▂", ".", "▃", "-", "▄", "-", "▅", "=", "▆", "=", "▇", "#",
	"⠋", "|", "⠙", "/", "⠹", "-", "⠸", "\\", "⠼", "|", "⠴", "/", "⠦", "-", "⠧", "\\", "⠇", "|", "⠏", "/", "×", "x",
)
