package engine

import "sync"

// Tally adds up the crashes of machines that are watched side by side, kind by kind: a few on each of many say what they do not say on one
// alone, and what has crashed before on any of them is not new.
type Tally struct {
	machines int

	mu    sync.Mutex
	told  map[string][]Crash // what a machine has told last
	sums  map[[2]string]Crash
	share float64 // the largest that any machine has of its time after the commit
}

// NewTally gives the tally of so many machines.
func NewTally(machines int) *Tally {
	return &Tally{machines: machines, told: map[string][]Crash{}, sums: map[[2]string]Crash{}}
}

// Add takes over what a machine tells now, in the place of what it told before. Where that is not all of it, nothing of the machine is counted:
// how often the others crashed before is not known.
func (t *Tally) Add(machine string, crashes []Crash, all bool, s Span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.told[machine] {
		t.count(c, -1)
	}
	t.told[machine] = nil
	if !all {
		return
	}
	t.told[machine], t.share = crashes, max(t.share, s.share())
	for _, c := range crashes {
		t.count(c, 1)
	}
}

func (t *Tally) count(c Crash, times int) {
	sum := t.sums[c.kind()]
	sum.Count += times * c.Count
	sum.Before += times * c.Before
	t.sums[c.kind()] = sum
}

// IsNew reports whether a machine's crash came with the upgrade, by what it tells, or by what all tell.
func (t *Tally) IsNew(c Crash, s Span) bool {
	if t == nil {
		return c.IsNew(s)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := t.sums[c.kind()]
	c.Others += max(sum.Before-c.Before, 0)
	return c.isNew(s, byChance/float64(max(t.machines, 1))) || c.Count > 0 && sum.isAbove(t.share, byChanceInAll)
}

func (c Crash) kind() [2]string { return [2]string{c.Module, c.Exception} }
