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
	HealthNotWatched Health = "not_watched" // --bake 0, or nothing was committed; or a deploy that was resumed had upgraded it, and nobody watches it again
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
	Count     int      `json:"count"`             // since the commit
	Watched   int      `json:"watched,omitempty"` // of these, processes that the upgrade has migrated or rendered, or their supervisors
	Before    int      `json:"before"`            // in the time that was watched before it
	Others    int      `json:"others,omitempty"`  // of the same module in other ways, before it
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

// Span is how long crashes were counted, before a commit and since.
type Span struct{ Before, After time.Duration }

// share is how many of all crashes an unchanged rate has after the commit.
func (s Span) share() float64 {
	if s.After <= 0 {
		return 0
	}
	return s.After.Seconds() / (max(s.Before, 0) + s.After).Seconds()
}

// IsNew reports whether this crash came with the upgrade. One of a process that the upgrade has migrated or rendered is enough, if that
// kind was not seen before, nor any other of its module. Others may have happened all along, and the time before is often short: they must
// be so frequent that an unchanged rate gives as many with a probability below one in a thousand (the conditional test of two Poisson rates).
func (c Crash) IsNew(s Span) bool { return c.isNew(s, byChance) }

func (c Crash) isNew(s Span, chance float64) bool {
	return c.Count > 0 && c.Watched > 0 && c.Before+c.Others == 0 || c.isAbove(s.share(), chance)
}

// isAbove reports whether so many are that improbable, if each has come after the commit with the probability share.
func (c Crash) isAbove(share, chance float64) bool {
	return c.Count > 0 && atLeast(c.Count, c.Count+c.Before, share) < chance
}

const (
	// byChance is how probable it may be that a crash that is told to have come with the upgrade has not: of machines that are watched side
	// by side, on any of them.
	byChance = 0.001
	// byChanceInAll is the same for the sum of what all tell, which is looked at whenever one of them tells something.
	byChanceInAll = byChance / 100
)

// atLeast gives the probability of k or more successes in n trials that each succeed with probability p; 1 where k is no more than what is to
// be expected, as it is of all machines' crashes time and again.
func atLeast(k, n int, p float64) float64 {
	if p <= 0 || p >= 1 {
		return p // for k > 0
	}
	if float64(k) <= float64(n)*p {
		return 1
	}
	all, _ := math.Lgamma(float64(n + 1))
	in, _ := math.Lgamma(float64(k + 1))
	out, _ := math.Lgamma(float64(n - k + 1))
	term := math.Exp(all - in - out + float64(k)*math.Log(p) + float64(n-k)*math.Log(1-p))
	sum := 0.0
	for i := k; i <= n && term > sum*1e-9; i++ { // beyond what is to be expected each is less probable than the one before
		sum += term
		term *= float64(n-i) / float64(i+1) * p / (1 - p)
	}
	return sum
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
		sums[i].Watched += c.Watched
		sums[i].Before += c.Before
		sums[i].Others += c.Others
	}
	slices.SortStableFunc(sums, func(a, b Crash) int { return cmp.Compare(b.Count, a.Count) })
	return sums
}
