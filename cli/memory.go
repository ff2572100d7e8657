package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// garbage is how much of it the process lets come up at most, in percent of what lives, where Go's usual is as much as lives. It costs a tenth
	// more CPU; with few machines nobody sees a difference.
	garbage = 50
	// room is how much memory Go may hold before it gives back what it does not use, in bytes: with the program itself, and 1,000 machines, the process
	// stays below 100 MB.
	room = 48 << 20
	// spare is how much more than what lives, and its garbage, the process may take then.
	spare = 12 << 20
)

// saveMemory bounds garbage and unused memory, unless the operator says how much there may be.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(room)
		followLiving()
	}
}

// followLiving has the process take more room once it needs that: below what lives, Go would do nothing else than collect garbage.
var followLiving = sync.OnceFunc(func() {
	living := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	afterCollections(func() {
		metrics.Read(living)
		if limit := roomFor(int64(living[0].Value.Uint64())); limit != debug.SetMemoryLimit(-1) {
			debug.SetMemoryLimit(limit)
		}
	})
})

func roomFor(living int64) int64 { return max(room, living+living*garbage/100+spare) }

// collected is garbage as soon as it is made.
type collected struct{ _ *collected }

// afterCollections does something whenever garbage has been collected.
func afterCollections(do func()) {
	runtime.SetFinalizer(&collected{}, func(*collected) {
		do()
		afterCollections(do)
	})
}
