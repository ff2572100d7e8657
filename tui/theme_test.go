package tui

import (
	"math"
	"strconv"
	"testing"

	"github.com/charmbracelet/colorprofile"

	"flydeploy/engine"
)

// luminance is the relative luminance of a colour, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	rgb, err := strconv.ParseUint(hex[1:], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
		v := float64(rgb>>(8*i)&0xff) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestRule10ContrastOnCommonBackgrounds(t *testing.T) {
	// Black, the defaults of GNOME, VS Code and iTerm, Dracula; white, Solarized light's lighter base, GNOME's light.
	backgrounds := map[*palette][]string{
		&darkPalette:  {"#000000", "#171421", "#1e1e1e", "#282a36", darkPalette.band},
		&lightPalette: {"#ffffff", "#fdf6e3", "#fafafa", lightPalette.band},
	}
	for p, grounds := range backgrounds {
		for _, c := range []string{p.text, p.muted, p.ok, p.active, p.warn, p.fail} {
			for _, ground := range grounds {
				if got := contrast(t, c, ground); got < 4.5 {
					t.Errorf("%s on %s: contrast %.2f, want 4.5 or more", c, ground, got)
				}
			}
		}
	}
}

func TestRule11ColourProfile(t *testing.T) {
	for _, test := range []struct {
		env     []string
		profile colorprofile.Profile
		decided bool
	}{
		{[]string{"TERM=xterm-256color"}, colorprofile.Unknown, false},
		{[]string{"TERM=xterm-256color", "NO_COLOR="}, colorprofile.Unknown, false},
		{[]string{"TERM=xterm-256color", "NO_COLOR=1"}, colorprofile.ASCII, true},
		{[]string{"TERM=xterm-256color", "NO_COLOR=yes please"}, colorprofile.ASCII, true},
		{[]string{"TERM=xterm-256color", "CLICOLOR=0"}, colorprofile.ASCII, true},
		{[]string{"TERM=xterm-256color", "CLICOLOR=1"}, colorprofile.Unknown, false},
		{[]string{"TERM=dumb", "COLORTERM=truecolor"}, colorprofile.NoTTY, true},
	} {
		profile, decided := colorProfile(test.env)
		if profile != test.profile || decided != test.decided {
			t.Errorf("%v: %v, %v; want %v, %v", test.env, profile, decided, test.profile, test.decided)
		}
	}
}

func TestRule9ASCIIScreensHoldNothingElse(t *testing.T) {
	before, after, end := rolledBack(4)
	for _, m := range before {
		if m.Facts != nil {
			m.Facts.Name = "plain-name"
		}
	}
	check := func(b *bench) {
		t.Helper()
		for _, r := range b.text() {
			if r > '~' {
				t.Fatalf("%q on an ASCII screen:\n%s", r, b.text())
			}
		}
	}
	for _, s := range sizes {
		b := newBench(t, s, Options{ASCII: true})
		b.deploys(before[:20], nil)
		check(b)
		b.hears(before[20:], nil)
		check(b)
		b.hears(after[:len(after)/2], nil)
		b.keys("esc")
		check(b)
		b.keys("esc", "?")
		check(b)
		b.keys("esc")
		b.hears(after[len(after)/2:], &end)
		check(b)
		b.keys("enter")
		check(b)
	}
}

func TestRule9EveryStandingHasItsOwnGlyphOrWord(t *testing.T) {
	type look struct{ glyph, word string }
	seen := map[look]rank{}
	for r := range ranks {
		l := look{standing{rank: r}.glyph("*"), rankWords[r]}
		if other, ok := seen[l]; ok {
			t.Errorf("ranks %d and %d look the same without colour", other, r)
		}
		seen[l] = r
	}
	glyphs := map[string]engine.Status{}
	for _, s := range []engine.Status{engine.StatusPending, engine.StatusRunning, engine.StatusDone, engine.StatusSkipped, engine.StatusFailed, engine.StatusUnknown} {
		g, _ := glyphOf(s, "*")
		if other, ok := glyphs[g]; ok {
			t.Errorf("%s and %s look the same without colour", other, s)
		}
		glyphs[g] = s
	}
}
