package cells

import (
	"image/color"
	"slices"

	"charm.land/lipgloss/v2"
)

// Skin is a set of colours, by its name. A glyph or a word says the same as each colour does, so that any skin will do.
type Skin string

// The skins.
const (
	Default      Skin = "default"       // the terminal's background, dark or light
	HighContrast Skin = "high-contrast" // black or white behind all text, and 7:1 against it
	ColourBlind  Skin = "colour-blind"  // apart also without red, green or blue cones: blue is well, orange or dark red is not
	Mono         Skin = "mono"          // no colours
)

// Skins are all of them.
var Skins = []Skin{Default, HighContrast, ColourBlind, Mono}

// Known reports whether there is such a skin.
func (s Skin) Known() bool { return slices.Contains(Skins, s) }

// colours holds colours that keep 4.5:1 on their background, also under the cursor's band; tests check it. The band is one that
// terminals with 256 colours have, too. What is "" is left to the terminal.
type colours struct{ text, muted, ok, active, warn, fail, rule, band, ground string }

var darkColours = map[Skin]colours{
	Default: {
		text: "#e6edf3", muted: "#9aa4b2", ok: "#34d399", active: "#8ab4ff", warn: "#f2c744", fail: "#ff7b72",
		rule: "#4b5563", band: "#303030",
	},
	HighContrast: {
		text: "#ffffff", muted: "#d0d0d0", ok: "#00ff87", active: "#87d7ff", warn: "#ffff00", fail: "#ff8787",
		rule: "#d0d0d0", band: "#00005f", ground: "#000000",
	},
	ColourBlind: {
		text: "#e6edf3", muted: "#9aa4b2", ok: "#4da3ff", active: "#e4dcff", warn: "#ffd21f", fail: "#ff7f50",
		rule: "#4b5563", band: "#303030",
	},
}

var lightColours = map[Skin]colours{
	Default: {
		text: "#1f2328", muted: "#5b6470", ok: "#007a55", active: "#1d4ed8", warn: "#7a5600", fail: "#7f1d1d",
		rule: "#c3c9d1", band: "#eeeeee",
	},
	HighContrast: {
		text: "#000000", muted: "#303030", ok: "#004d26", active: "#0000af", warn: "#5f3700", fail: "#870000",
		rule: "#303030", band: "#ffffaf", ground: "#ffffff",
	},
	ColourBlind: {
		text: "#1f2328", muted: "#5b6470", ok: "#005fcc", active: "#331466", warn: "#7d6a00", fail: "#6b0a10",
		rule: "#c3c9d1", band: "#eeeeee",
	},
}

// styles are those of a skin: of text as it is, and of text on the cursor's band. Without a ground of its own a skin leaves ordinary
// text in the terminal's colour.
func (s Skin) styles(dark bool) [tones][2]lipgloss.Style {
	if s == Mono {
		return monoStyles()
	}
	p := lightColours[s]
	if dark {
		p = darkColours[s]
	}
	plain := lipgloss.NewStyle().Inline(true)
	if p.ground != "" {
		plain = plain.Background(in(p.ground)).Foreground(in(p.text))
	}
	var out [tones][2]lipgloss.Style
	for tone, style := range [tones]lipgloss.Style{
		Normal: plain, Strong: plain.Bold(true), Muted: plain.Foreground(in(p.muted)), OK: plain.Foreground(in(p.ok)), Active: plain.Foreground(in(p.active)),
		Warn: plain.Foreground(in(p.warn)), Fail: plain.Foreground(in(p.fail)), Border: plain.Foreground(in(p.rule)), Heading: plain.Foreground(in(p.active)).Bold(true),
		Focus: plain.Foreground(in(p.active)).Bold(true).Reverse(true),
	} {
		band := style.Background(in(p.band))
		if style.GetForeground() == (lipgloss.NoColor{}) {
			band = band.Foreground(in(p.text))
		}
		out[tone] = [2]lipgloss.Style{style, band}
	}
	return out
}

func in(hex string) color.Color { return lipgloss.Color(hex) }

// monoStyles make bold what matters; the cursor's band and the button in focus are reversed.
func monoStyles() [tones][2]lipgloss.Style {
	plain := lipgloss.NewStyle().Inline(true)
	bold := plain.Bold(true)
	var out [tones][2]lipgloss.Style
	for tone, style := range [tones]lipgloss.Style{
		Normal: plain, Strong: bold, Muted: plain, OK: plain, Active: bold, Warn: bold, Fail: bold, Border: plain, Heading: bold, Focus: bold.Reverse(true),
	} {
		out[tone] = [2]lipgloss.Style{style, style.Reverse(true)}
	}
	return out
}
