package tui

import (
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
)

// The ticker that is slowed down is Bubble Tea's own.
func TestFramesFindTheTicker(t *testing.T) {
	var f frames
	if f.of(tea.NewProgram(nil)); f.ticker == nil {
		t.Error("Bubble Tea has no ticker of that name any more: an idle console looks sixty times a second for something to paint")
	}
	(&frames{}).changed() // without one it does nothing
}

func TestFramesRestWhileNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ticker := time.NewTicker(time.Hour)
		defer ticker.Stop()
		f := frames{ticker: &ticker}
		next := func() time.Duration {
			from := time.Now()
			<-ticker.C
			return time.Since(from)
		}
		f.changed()
		for i := range 4 {
			if d := next(); d != frameSoon {
				t.Errorf("frame %d after a change comes after %v", i, d)
			}
		}
		f.changed() // while it is quick
		for range 4 {
			next()
		}
		time.Sleep(quickFor)
		synctest.Wait()
		for range 2 {
			next()
		}
		if d := next(); d != frameRest {
			t.Errorf("it looks every %v while nothing changes", d)
		}
		time.Sleep(frameRest / 3)
		f.changed()
		if d := next(); d != frameSoon {
			t.Errorf("after a rest a change is painted after %v", d)
		}
	})
}
