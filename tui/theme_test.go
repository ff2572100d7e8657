package tui

import (
	"image/color"
	"regexp"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/tuitest"
	"flydeploy/tui/view"
)

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
	before, after, end := tuitest.RolledBack(4)
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
	seen := map[look]view.Rank{}
	for r := range view.Ranks {
		l := look{view.Standing{Rank: r}.Glyph("*"), view.RankWords[r]}
		if other, ok := seen[l]; ok {
			t.Errorf("ranks %d and %d look the same without colour", other, r)
		}
		seen[l] = r
	}
	glyphs := map[string]engine.Status{}
	for _, s := range []engine.Status{engine.StatusPending, engine.StatusRunning, engine.StatusDone, engine.StatusSkipped, engine.StatusFailed, engine.StatusUnknown} {
		g, _ := view.StatusLook(s, "*")
		if other, ok := glyphs[g]; ok {
			t.Errorf("%s and %s look the same without colour", other, s)
		}
		glyphs[g] = s
	}
}

// groundedText is text with a background of its own.
var groundedText = regexp.MustCompile("(?s)\x1b\\[[0-9;]*48;2;[0-9;]*m[^\x1b]*\x1b\\[m")

// TestSkins keeps the escape sequences of the fleet, of a failed deploy, and of a plan with blockers, in every skin.
func TestSkins(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
	for _, skin := range cells.Skins {
		for _, theme := range []string{"dark", "light"} {
			for name, show := range map[string]func(*bench){
				"fleet":   func(b *bench) { b.sees(6); b.keys("down", "space") },
				"failure": func(b *bench) { b.deploys(before, nil); b.hears(after, &end) },
				"plan":    func(b *bench) { b.deploys(tuitest.Blocked(6, engine.SeverityBlock), nil); b.keys("D") },
			} {
				t.Run(string(skin)+"-"+theme+"-"+name, func(t *testing.T) {
					b := newBench(t, size{80, 24}, Options{Theme: theme, Skin: skin})
					show(b)
					b.fits()
					painted := b.View().Content
					if bare := groundedText.ReplaceAllString(painted, ""); skin == cells.HighContrast && strings.TrimSpace(bare) != "" {
						t.Errorf("this stands on the terminal's own background: %q", bare)
					}
					golden.RequireEqual(t, painted)
				})
			}
		}
	}
}

// A skin is chosen while the console runs; what the terminal says of its background changes no skin.
func TestASkinIsChosenByItsName(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{Theme: "auto"})
	b.sees(6)
	b.keys(":")
	b.types("skin high")
	b.shows("▸ skin high-contrast")
	b.keys("enter")
	if !strings.Contains(b.View().Content, "48;2;0;0;0") {
		t.Errorf("nothing stands on black:\n%q", b.View().Content)
	}
	b.send(tea.BackgroundColorMsg{Color: color.White})
	if !strings.Contains(b.View().Content, "48;2;255;255;255") {
		t.Errorf("on a light terminal nothing stands on white:\n%q", b.View().Content)
	}
	b.keys(":")
	b.types("theme dark")
	b.keys("enter")
	if !strings.Contains(b.View().Content, "48;2;0;0;0") {
		t.Error("another theme changes the skin")
	}
}
