package tui

import (
	"testing"

	"github.com/charmbracelet/colorprofile"

	"flydeploy/engine"
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
