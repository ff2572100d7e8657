package cli

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGarbageIsCollectedOften(t *testing.T) {
	usual := debug.SetGCPercent(100)
	defer debug.SetGCPercent(usual)
	for gogc, want := range map[string]int{"": garbage, "100": 100} {
		debug.SetGCPercent(100)
		t.Setenv("GOGC", gogc)
		if saveMemory(); debug.SetGCPercent(100) != want {
			t.Errorf("with GOGC=%q it is not %d %%", gogc, want)
		}
	}
}

// The process gives back what it does not use, and takes what it needs.
func TestMemoryFollowsWhatLives(t *testing.T) {
	t.Setenv("GOGC", "100")
	t.Setenv("GOMEMLIMIT", "1GiB")
	debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(math.MaxInt64)
	if saveMemory(); debug.SetMemoryLimit(-1) != math.MaxInt64 {
		t.Error("what the operator says does not hold")
	}
	t.Setenv("GOMEMLIMIT", "")
	if saveMemory(); debug.SetMemoryLimit(-1) < room || debug.SetMemoryLimit(-1) == math.MaxInt64 {
		t.Errorf("it may take %d bytes", debug.SetMemoryLimit(-1))
	}
	lives := make([]byte, 3*room)
	awaitLimit(t, "half as much again as lives", func(limit int64) bool { return limit > 3*room*3/2 && limit < math.MaxInt64 })
	runtime.KeepAlive(lives)
	awaitLimit(t, "less again", func(limit int64) bool { return limit < 3*room })
}

func awaitLimit(t *testing.T, what string, is func(int64) bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(debug.SetMemoryLimit(-1)); runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("it may take %d bytes, and not %s", debug.SetMemoryLimit(-1), what)
		}
		runtime.Gosched()
	}
}
