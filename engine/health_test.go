package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestCrashesThatCameWithTheUpgrade(t *testing.T) {
	for _, test := range []struct {
		count, before  int
		watched        int
		baseline, span time.Duration
		isNew          bool
	}{
		{1, 0, 1, time.Minute, time.Second, true}, // of a process that was migrated
		{1, 0, 1, 0, time.Second, true},
		{0, 0, 0, time.Minute, time.Second, false},
		{1, 0, 0, time.Minute, 10 * time.Second, false}, // of another one: that may have happened all along
		{4, 0, 0, time.Minute, 10 * time.Second, true},
		{5, 0, 0, 5 * time.Second, 10 * time.Second, false},
		{20, 0, 0, 5 * time.Second, 10 * time.Second, true},
		{9, 0, 0, 0, 10 * time.Second, false},               // nothing is known of before
		{8, 50, 8, time.Minute, 10 * time.Second, false},    // 50 a minute before and after
		{8, 1, 8, 5 * time.Second, 10 * time.Second, false}, // the same, of which little was seen
		{25, 50, 0, time.Minute, 10 * time.Second, true},
		{40, 4, 40, 5 * time.Second, 10 * time.Second, true},
		{1_000, 500, 0, 20 * time.Second, 20 * time.Second, true},
		{520, 500, 0, 20 * time.Second, 20 * time.Second, false},
	} {
		c := Crash{Count: test.count, Before: test.before, Watched: test.watched}
		if got := c.IsNew(Span{Before: test.baseline, After: test.span}); got != test.isNew {
			t.Errorf("%d in %s after %d in %s: %t", test.count, test.span, test.before, test.baseline, got)
		}
	}
	// Of a module that crashed before in other ways one more says nothing yet.
	for count, isNew := range map[int]bool{1: false, 20: true} {
		c := Crash{Count: count, Watched: count, Others: 1}
		if got := c.IsNew(Span{Before: 10 * time.Second, After: 10 * time.Second}); got != isNew {
			t.Errorf("%d: %t", count, got)
		}
	}
	// What is improbable on one machine is not on one of a thousand.
	for machines, isNew := range map[int]bool{0: true, 1: true, 1_000: false} {
		if got := NewTally(machines).IsNew(Crash{Count: 11}, Span{Before: 10 * time.Second, After: 10 * time.Second}); got != isNew {
			t.Errorf("on one of %d machines: %t", machines, got)
		}
	}
}

func TestWordsOfACrash(t *testing.T) {
	c := Crash{Module: "Shop.Cart", Exception: "KeyError :step", At: "cart.ex:41", Count: 214}
	if got := c.During(8_300 * time.Millisecond); got != "214 crashes of Shop.Cart in 8 s: KeyError :step at cart.ex:41" {
		t.Error(got)
	}
	if got := (Crash{Module: "Shop.Cart", Exception: "exit :killed", Count: 1}).String(); got != "1 crash of Shop.Cart: exit :killed" {
		t.Error(got)
	}
	sum := SumCrashes([]Crash{{Module: "A", Count: 1}, c, {Module: "A", Count: 2}, c})
	if len(sum) != 2 || sum[0].Count != 428 || sum[1].Count != 3 {
		t.Errorf("%+v", sum)
	}
}

func TestTheWorstHealth(t *testing.T) {
	order := []Health{HealthNotWatched, HealthHealthy, HealthUnknown, HealthUnhealthy}
	for i, a := range order {
		for j, b := range order {
			if got := a.Worst(b); got != order[max(i, j)] {
				t.Errorf("%s and %s: %s", a, b, got)
			}
		}
	}
}

// An application that crashes 50 times a minute for other reasons is not blamed, however short the time before was, and how many machines it has:
// also where the crashes are of processes that the upgrade has migrated, each module's in five ways.
func TestANoisyApplicationIsNotBlamed(t *testing.T) {
	for _, machines := range []int{1, 100} {
		for _, baseline := range []time.Duration{5 * time.Second, 15 * time.Second, time.Minute} {
			rounds := max(4_000/machines, 100)
			blamed := 0
			for seed := range rounds {
				if newNoise(uint64(seed), machines).isBlamed(baseline, 10*time.Second) {
					blamed++
				}
			}
			if blamed > rounds/25 {
				t.Errorf("after %s of watching %d machines it was blamed %d of %d times", baseline, machines, blamed, rounds)
			}
		}
	}
}

// noise is an application on some machines, each of which crashes in five ways, ten times a minute in each.
type noise struct {
	random   *rand.Rand
	machines [][]Crash
}

func newNoise(seed uint64, machines int) *noise {
	n := &noise{random: rand.New(rand.NewPCG(1, seed))}
	for range machines {
		var kinds []Crash
		for i := range 5 {
			kinds = append(kinds, Crash{Module: "Shop.Cart", Exception: string(rune('A' + i))})
		}
		n.machines = append(n.machines, kinds)
	}
	return n
}

func (n *noise) poisson(in time.Duration) (count int) {
	mean := in.Minutes() * 10
	for p := n.random.Float64(); p > math.Exp(-mean); count++ {
		p *= n.random.Float64()
	}
	return count
}

// isBlamed looks each second, as the console does.
func (n *noise) isBlamed(baseline, bake time.Duration) bool {
	for _, kinds := range n.machines {
		sum := 0
		for i := range kinds {
			kinds[i].Before = n.poisson(baseline)
			sum += kinds[i].Before
		}
		for i := range kinds {
			kinds[i].Others = sum - kinds[i].Before
		}
	}
	t := NewTally(len(n.machines))
	for after := time.Second; after <= bake; after += time.Second {
		span := Span{Before: baseline, After: after}
		for m, kinds := range n.machines {
			for i := range kinds {
				more := n.poisson(time.Second)
				kinds[i].Count, kinds[i].Watched = kinds[i].Count+more, kinds[i].Watched+more
			}
			t.Add(fmt.Sprint(m), slices.Clone(kinds), true, span)
			if slices.ContainsFunc(kinds, func(c Crash) bool { return t.IsNew(c, span) }) {
				return true
			}
		}
	}
	return false
}
