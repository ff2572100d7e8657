package tui

import (
	"image/color"
	"strings"

	"charm.land/lipgloss/v2"
)

// tone says what a text means; the theme says how that looks.
type tone int

const (
	toneText tone = iota
	toneStrong
	toneMuted
	toneOK
	toneActive
	toneWarn
	toneFail
	toneRule
	toneTitle
	toneButton // the button in focus
	tones      // how many there are
)

// palette holds colours that keep 4.5:1 on their background, also under the cursor's band, and that stay apart for
// colour-blind eyes. A test holds them to it. The band is a grey that terminals with 256 colours have, too.
type palette struct{ text, muted, ok, active, warn, fail, rule, band string }

var (
	darkPalette = palette{
		text: "#e6edf3", muted: "#9aa4b2", ok: "#34d399", active: "#8ab4ff", warn: "#f2c744", fail: "#ff7b72",
		rule: "#4b5563", band: "#303030",
	}
	lightPalette = palette{
		text: "#1f2328", muted: "#5b6470", ok: "#007a55", active: "#1d4ed8", warn: "#7a5600", fail: "#7f1d1d",
		rule: "#c3c9d1", band: "#eeeeee",
	}
)

// theme paints lines. It is immutable.
type theme struct {
	styles [tones][2]lipgloss.Style // plain, and on the cursor's band
	ascii  *strings.Replacer        // nil: glyphs as they are
}

func newTheme(dark, ascii bool) theme {
	p := lightPalette
	if dark {
		p = darkPalette
	}
	var t theme
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
func styles(p palette) [tones]lipgloss.Style {
	plain := lipgloss.NewStyle().Inline(true)
	in := func(hex string) lipgloss.Style { return plain.Foreground(color.Color(lipgloss.Color(hex))) }
	return [tones]lipgloss.Style{
		toneText: plain, toneStrong: plain.Bold(true), toneMuted: in(p.muted), toneOK: in(p.ok), toneActive: in(p.active),
		toneWarn: in(p.warn), toneFail: in(p.fail), toneRule: in(p.rule), toneTitle: in(p.active).Bold(true),
		toneButton: in(p.active).Bold(true).Reverse(true),
	}
}

// paint renders lines for the terminal.
func (t theme) paint(lines []line) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		for j := 0; j < len(l); {
			run := l[j]
			for j++; j < len(l) && l[j].tone == run.tone && l[j].band == run.band; j++ {
				run.text += l[j].text
			}
			t.paintSpan(&b, run)
		}
	}
	return b.String()
}

func (t theme) paintSpan(b *strings.Builder, s span) {
	text := s.text
	if text == "" {
		return
	}
	if t.ascii != nil {
		text = t.ascii.Replace(text)
	}
	switch {
	case s.band:
		b.WriteString(t.styles[s.tone][1].Render(text))
	case s.tone == toneText:
		b.WriteString(text)
	default:
		b.WriteString(t.styles[s.tone][0].Render(text))
	}
}

// asciiGlyphs maps every glyph that the console draws to one ASCII character: --ascii changes no width.
var asciiGlyphs = strings.NewReplacer(
	"✓", "+", "✗", "x", "●", "*", "○", "o", "◐", "~", "◆", "#", "▸", ">", "·", ".", "–", "-", "…", "~", "↺", "<",
	"─", "-", "│", "|", "╭", "+", "╮", "+", "╰", "+", "╯", "+", "█", "#", "▒", "x", "░", ".", "→", ">", "↑", "^", "↓", "v", "←", "<",
	"▏", ".", "▎", ".", "▍", "-", "▌", "-", "▋", "=", "▊", "=", "▉", "#", "▁", "_", "▂", ".", "▃", "-", "▄", "-", "▅", "=", "▆", "=", "▇", "#",
	"⠋", "|", "⠙", "/", "⠹", "-", "⠸", "\\", "⠼", "|", "⠴", "/", "⠦", "-", "⠧", "\\", "⠇", "|", "⠏", "/", "×", "x",
)

var spinnerFrames = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
