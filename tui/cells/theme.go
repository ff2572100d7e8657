package cells

import "strings"

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
	paints [tones][2]paint   // plain, and on the cursor's band
	ascii  *strings.Replacer // nil: glyphs as they are
}

// paint is what stands before a text, and after it. Spans are clean, so that no more depends on the text.
type paint struct{ before, after string }

// NewTheme makes the theme of a skin for a dark or a light background; ascii draws with ASCII alone.
func NewTheme(skin Skin, dark, ascii bool) Theme {
	var t Theme
	for tone, styles := range skin.styles(dark) {
		for i, style := range styles {
			t.paints[tone][i].before, t.paints[tone][i].after, _ = strings.Cut(style.Render("x"), "x")
		}
	}
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
	p := t.paints[s.Tone][0]
	if s.Band {
		p = t.paints[s.Tone][1]
	}
	b.WriteString(p.before)
	b.WriteString(text)
	b.WriteString(p.after)
}

// asciiGlyphs maps every glyph that the console draws to one ASCII character: --ascii changes no width.
// The point between two facts is a hyphen there, since a full stop ends a sentence.
var asciiGlyphs = strings.NewReplacer(
	" · ", " - ", "✓", "+", "✗", "x", "●", "*", "○", "o", "◐", "~", "◆", "#", "▸", ">", "·", ".", "–", "-", "…", "~", "↺", "<",
	"─", "-", "│", "|", "╭", "+", "╮", "+", "╰", "+", "╯", "+", "█", "#", "▒", "x", "░", ".", "▓", "=", "▫", "o", "╎", "|", "┼", "+", "├", "|", "┤", "|", "╵", "|", "µ", "u", "→", ">", "↑", "^", "↓", "v", "←", "<",
	"▏", ".", "▎", ".", "▍", "-", "▌", "-", "▋", "=", "▊", "=", "▉", "#", "▁", "_", "▂", ".", "▃", "-", "▄", "-", "▅", "=", "▆", "=", "▇", "#",
	"⠋", "|", "⠙", "/", "⠹", "-", "⠸", "\\", "⠼", "|", "⠴", "/", "⠦", "-", "⠧", "\\", "⠇", "|", "⠏", "/", "×", "x",
)
