package view

import (
	"testing"

	"flydeploy/engine"
)

// Where nothing was upgraded, there was nothing to be watched.
func TestHealthOfWhatCameToNothing(t *testing.T) {
	blocked := engine.Past{Outcome: engine.OutcomeBlocked, Machines: 3, Health: engine.HealthNotWatched}
	upgraded := engine.Past{Outcome: engine.OutcomeSucceeded, Machines: 3, Upgraded: 3, Health: engine.HealthNotWatched}
	if is, was := HealthWord(blocked), HealthWord(upgraded); is != "" || was != "not watched" {
		t.Errorf("%q and %q", is, was)
	}
}
