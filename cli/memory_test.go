package cli

import (
	"runtime/debug"
	"testing"
)

func TestGarbageIsCollectedOften(t *testing.T) {
	usual := debug.SetGCPercent(100)
	defer debug.SetGCPercent(usual)
	for gogc, want := range map[string]int{"": garbage, "100": 100} {
		debug.SetGCPercent(100)
		t.Setenv("GOGC", gogc)
		if collectOften(); debug.SetGCPercent(100) != want {
			t.Errorf("with GOGC=%q it is not %d %%", gogc, want)
		}
	}
}
