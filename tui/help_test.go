package tui

import (
	"errors"
	"testing"
	"time"

	"flydeploy/tui/cells"
	"flydeploy/tui/tuitest"
)

// Help is that of the screen it is opened on: all that can be pressed there, and nothing that would do nothing.
func TestEveryScreensHelpIsItsOwn(t *testing.T) {
	at := size{120, 50}
	helped := func(b *bench, title string, keys ...string) {
		t.Helper()
		b.keys("?")
		b.shows(append([]string{title, "Everywhere"}, keys...)...)
		for _, other := range []string{"end the watch, go on", "override lock", "confirm the trial", "mark a range"} {
			b.hides(other)
		}
		b.keys("tab")
		b.shows("mark a range", "end the watch, go on")
		b.keys("esc")
	}
	b := newBench(t, at, Options{Apps: noApps, Setup: noSteps})
	b.records()
	helped(b, "Record of deploys", "replay, or watch live", "deploy its code again", "filter, ! inverts")
	b.keys("esc")
	b.keys("enter")
	helped(b, "Machine", "copy")
	b.keys("esc")
	b.openApps()
	helped(b, "Apps", "open the console on it", "ask again")
	b.console.apps = nil
	b.openSetup()
	b.send(setupMsg{of: b.setup, steps: someSteps()})
	helped(b, "What is needed", "look again now")
	b.console.setup = nil
	b.openDoctor()
	b.send(examinedMsg{of: b.doctor})
	helped(b, "Doctor", "look again now")
	b.console.doctor = nil
	b.replaying()
	b.pass(5 * time.Minute)
	helped(b, "Replay", "faster", "next failure", "sort by", "timeline of machines")
	b.keys("esc", "esc")
	b.watch(tuitest.UpgradeID)
	b.watched.session.events = tuitest.Recorded(tuitest.Upgraded(6))
	b.send(newsMsg{of: b.watched.session})
	helped(b, "Watch", "details", "timeline of machines", "sort by")
}

// A read-only console says why a key does nothing, where it would do something elsewhere.
func TestAReadOnlyConsoleSaysWhyNothingHappens(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{App: "counter", ReadOnly: true, Backend: &tuitest.Backend{}})
	b.sees(6)
	for _, key := range []string{"d", "space", "a"} {
		b.keys(key)
		b.shows("Read-only: nothing can be changed from here")
		b.pass(2 * noticeStays)
		b.hides("Read-only: nothing")
	}
	b.keys("D", "x")
	b.hides("Read-only: nothing")
	b.records()
	b.keys("d")
	b.shows("Read-only: nothing can be changed from here")
	b.pass(2 * noticeStays)
	b.keys("/")
	b.types("d")
	b.hides("Read-only: nothing")
}

// What went as it was wanted is not told in the colour of warnings.
func TestGoodNewsAreNoWarnings(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{Dir: t.TempDir()})
	b.sees(6)
	for want, show := range map[cells.Tone]func(){cells.OK: func() { b.onSaved(savedMsg{file: "a.log"}) }, cells.Warn: func() { b.onSaved(savedMsg{err: errors.New("disk full")}) }} {
		show()
		if b.noticeTone != want || b.bottom()[0].Tone != want {
			t.Errorf("%q has the tone %d, not %d", b.notice, b.noticeTone, want)
		}
	}
}
