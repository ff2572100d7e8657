package engine

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"flydeploy/text"
)

// Strategy says in which order the machines of a deploy commit. Each wave must be healthy before the next one starts.
type Strategy struct {
	Kind StrategyKind `json:"kind"`
	// WaveSize is the number of machines in a wave. 0 means a third of the machines for rolling, and all for the other kinds.
	WaveSize int `json:"wave_size,omitempty"`
	// Bake is how long a wave is watched after its commit; what was not well by then ends the deploy. 0: not at all.
	Bake time.Duration `json:"bake_ns,omitempty"`
	// By keeps each wave within one region or process group; "": it may hold machines of several.
	By WavesBy `json:"by,omitempty"`
	// Pause is how much longer a wave is watched before the next one starts, PauseForKey for until somebody goes on. The last wave has none.
	Pause time.Duration `json:"pause_ns,omitempty"`
	// Trial is how long each machine is on trial after its commit; 0: the upgrade is what machines boot as soon as they run it.
	Trial time.Duration `json:"trial_ns,omitempty"`
}

// StrategyGiven says which parts of a Strategy somebody has asked for; the others are defaults.
type StrategyGiven struct{ Kind, WaveSize, By, Bake, Pause, Trial bool }

// Resuming gives the strategy of a deploy that resumes one with the strategy earlier: that one, apart from what was asked for anew. Another
// kind has its own bake time and size of waves.
func (s Strategy) Resuming(earlier Strategy, given StrategyGiven) Strategy {
	if !given.Trial {
		s.Trial = earlier.Trial
	}
	if given.Kind {
		return s
	}
	earlier.Trial = s.Trial
	if given.By {
		earlier.By = s.By
	}
	if given.Pause {
		earlier.Pause = s.Pause
	}
	if given.WaveSize {
		earlier.WaveSize = s.WaveSize
	}
	if given.Bake {
		earlier.Bake = s.Bake
	}
	return earlier
}

// StrategyKind names a strategy, as --strategy does; or it lists how many machines have the upgrade after each wave, as numbers or shares
// that grow: "1,10%,50%,100%". What is left after the last one is another wave.
type StrategyKind string

// Bounds are no part of the expression: counted repetitions take their time at each start of the console.
var listedSteps = regexp.MustCompile(`^[1-9][0-9]*%?(,[1-9][0-9]*%?)*$`)

const (
	maxSteps = 20
	maxStep  = 999_999
)

// lists reports whether k lists steps; whether they grow is another matter.
func (k StrategyKind) lists() bool {
	return strings.Count(string(k), ",") < maxSteps && listedSteps.MatchString(string(k))
}

// Valid reports whether there is such a strategy.
func (k StrategyKind) Valid() bool {
	return slices.Contains(Strategies, k) || k.lists() && k.grows()
}

// grows reports whether the listed numbers grow, and the listed shares, up to 100%: how a number compares with a share depends on the fleet.
func (k StrategyKind) grows() bool {
	number, share := 0, 0
	for step := range strings.SplitSeq(string(k), ",") {
		digits, isShare := strings.CutSuffix(step, "%")
		last := &number
		if isShare {
			last = &share
		}
		at, _ := strconv.Atoi(digits)
		if at <= *last || at > maxStep || isShare && at > 100 {
			return false
		}
		*last = at
	}
	return true
}

// steps gives how many of n machines have the upgrade after each wave, nil for a strategy that lists none.
func (k StrategyKind) steps(n int) []int {
	if !k.lists() {
		return nil
	}
	var after []int
	for step := range strings.SplitSeq(string(k), ",") {
		share, isShare := strings.CutSuffix(step, "%")
		at, _ := strconv.Atoi(share)
		if isShare {
			at = (n*at + 99) / 100
		}
		after = append(after, at)
	}
	return after
}

// The strategies.
const (
	StrategyAll     StrategyKind = "all"     // every machine at once
	StrategyRolling StrategyKind = "rolling" // one wave after another
	StrategyCanary  StrategyKind = "canary"  // one machine, then the rest
)

// DefaultBake is how long waves of a strategy are watched where nobody says otherwise.
func DefaultBake(kind StrategyKind) time.Duration {
	if kind == StrategyCanary {
		return 30 * time.Second
	}
	return 10 * time.Second
}

// Strategies lists all kinds.
var Strategies = []StrategyKind{StrategyAll, StrategyRolling, StrategyCanary}

// Waves gives the sizes of the waves into which machines are split, in order. groups are the sizes of the regions or process groups whose
// machines follow each other: no wave crosses from one to the next.
func (s Strategy) Waves(groups ...int) []int {
	groups = slices.Clone(groups)
	var sizes []int
	n, at := sum(groups), 0
	all := n
	take := func(size int) {
		for size = min(size, n); size > 0; {
			taken := min(size, groups[at])
			if taken > 0 {
				sizes = append(sizes, taken)
			}
			size, n, groups[at] = size-taken, n-taken, groups[at]-taken
			if groups[at] == 0 {
				at++
			}
		}
	}
	for _, after := range s.Kind.steps(all) {
		take(after - (all - n))
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
		if groups[at] == 0 {
			at++
			continue
		}
		take(min(size, groups[at]))
	}
	return sizes
}

func sum(groups []int) int {
	n := 0
	for _, size := range groups {
		n += size
	}
	return n
}

// Describe words the strategy for so many machines, as the plan shows it: "3 waves of up to 2 machines". groups are as for Waves.
func (s Strategy) Describe(groups ...int) string {
	sizes, n := s.Waves(groups...), sum(groups)
	if len(sizes) < 2 {
		return "all at once" + s.watched("") + s.tried()
	}
	words := fmt.Sprintf("%d waves of up to %s", len(sizes), text.Counted(slices.Max(sizes), "machine"))
	if s.Kind == StrategyCanary {
		words = "canary, then " + text.Counted(n-1, "machine")
		if len(sizes) > 2 {
			words += fmt.Sprintf(" in %d waves", len(sizes)-1)
		}
	}
	return words + s.kept() + s.watched("each ") + s.paused() + s.tried()
}

func (s Strategy) tried() string {
	if s.Trial <= 0 {
		return ""
	}
	return ", on trial for " + text.Time(s.Trial)
}

func (s Strategy) watched(each string) string {
	if s.Bake <= 0 {
		return ""
	}
	return fmt.Sprintf(", %swatched for %s", each, text.Time(s.Bake))
}
