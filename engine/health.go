package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"flydeploy/text"
)

// Health is what watching a machine, or all of a deploy's, after the commit has shown.
type Health string

// The words for it.
const (
	HealthNotWatched Health = "not_watched" // --bake 0, or nothing was committed
	HealthHealthy    Health = "healthy"
	HealthUnhealthy  Health = "unhealthy"
	HealthUnknown    Health = "unknown" // it did not answer, or the watch was cut short
)

// Worst gives the graver of two: unhealthy, then unknown, then healthy.
func (h Health) Worst(other Health) Health {
	rank := func(h Health) int {
		return slices.Index([]Health{HealthNotWatched, HealthHealthy, HealthUnknown, HealthUnhealthy}, h)
	}
	if rank(other) > rank(h) {
		return other
	}
	return h
}

// Crash is one kind of crash in code that an upgrade changed, on one machine or on all. It tells no values.
type Crash struct {
	Module    string   `json:"module"`
	Exception string   `json:"exception"`    // its kind: "KeyError :step"
	At        string   `json:"at,omitempty"` // "cart.ex:41"; "" if unknown
	Stack     []string `json:"stack,omitempty"`
	Count     int      `json:"count"`  // since the commit
	Before    int      `json:"before"` // in the time that was watched before it
}

// String words a crash: "214 crashes of Shop.Cart: KeyError :step at cart.ex:41".
func (c Crash) String() string { return c.during("") }

// During words a crash that was counted for so long: "214 crashes of Shop.Cart in 8 s: …".
func (c Crash) During(d time.Duration) string {
	return c.during(fmt.Sprintf(" in %d s", max(int(d.Round(time.Second).Seconds()), 1)))
}

func (c Crash) during(span string) string {
	what := fmt.Sprintf("%s of %s%s: %s", text.Counted(c.Count, "crash"), strings.TrimPrefix(c.Module, "Elixir."), span, c.Exception)
	if c.At != "" {
		what += " at " + c.At
	}
	return what
}

// IsNew reports whether this crash came with the upgrade: it did not happen in the time watched before the commit, or it is more
// frequent since than chance explains (three standard deviations of what was counted on both sides).
func (c Crash) IsNew(before, after time.Duration) bool {
	if c.Before == 0 || before <= 0 {
		return c.Count > 0
	}
	ratio := after.Seconds() / before.Seconds()
	expected := float64(c.Before) * ratio
	return float64(c.Count) > expected+3*math.Sqrt(expected*(1+ratio))+2
}

// SameKind reports whether both are the same kind of crash.
func (c Crash) SameKind(other Crash) bool {
	return c.Module == other.Module && c.Exception == other.Exception && c.At == other.At
}

// SumCrashes adds up the crashes of the same kind on several machines, most frequent first.
func SumCrashes(all []Crash) []Crash {
	var sums []Crash
	at := map[[3]string]int{}
	for _, c := range all {
		key := [3]string{c.Module, c.Exception, c.At}
		i, found := at[key]
		if !found {
			at[key] = len(sums)
			sums = append(sums, c)
			continue
		}
		sums[i].Count += c.Count
		sums[i].Before += c.Before
	}
	slices.SortStableFunc(sums, func(a, b Crash) int { return cmp.Compare(b.Count, a.Count) })
	return sums
}
