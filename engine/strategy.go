package engine

import (
	"fmt"
	"slices"
	"time"
)

// Strategy says in which order the machines of a deploy commit. Before each further wave the last one must be healthy.
type Strategy struct {
	Kind StrategyKind
	// WaveSize is the number of machines in a wave; 0: a third of the machines for rolling, all for the others.
	WaveSize int
	// Bake is how long a wave is watched before the next one starts. The last wave is not.
	Bake time.Duration
}

// StrategyKind names a strategy, as --strategy does.
type StrategyKind string

// The strategies.
const (
	StrategyAll     StrategyKind = "all"     // every machine at once
	StrategyRolling StrategyKind = "rolling" // one wave after the other
	StrategyCanary  StrategyKind = "canary"  // one machine, then the others
)

// Strategies are all kinds.
var Strategies = []StrategyKind{StrategyAll, StrategyRolling, StrategyCanary}

// waves splits n machines, in their order, into the sizes of their waves.
func (s Strategy) Waves(n int) []int {
	var sizes []int
	take := func(size int) {
		if size = min(size, n); size > 0 {
			sizes, n = append(sizes, size), n-size
		}
	}
	size := s.WaveSize
	switch {
	case s.Kind == StrategyCanary:
		take(1)
	case s.Kind == StrategyRolling && size == 0:
		size = (n + 2) / 3
	}
	if size == 0 {
		size = n
	}
	for n > 0 {
		take(size)
	}
	return sizes
}

// describe is the strategy for n machines as the plan tells it.
func (s Strategy) Describe(n int) string {
	sizes := s.Waves(n)
	if len(sizes) < 2 {
		return "all at once"
	}
	text := fmt.Sprintf("%d waves of up to %s", len(sizes), Counted(slices.Max(sizes), "machine"))
	if s.Kind == StrategyCanary {
		text = "canary, then " + Counted(n-1, "machine")
		if len(sizes) > 2 {
			text += fmt.Sprintf(" in %d waves", len(sizes)-1)
		}
	}
	if s.Bake > 0 {
		text += fmt.Sprintf(", each watched for %s", s.Bake)
	}
	return text
}
