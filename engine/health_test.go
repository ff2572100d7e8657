package engine

import (
	"math"
	"math/rand/v2"
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
		if got := c.IsNew(test.baseline, test.span); got != test.isNew {
			t.Errorf("%d in %s after %d in %s: %t", test.count, test.span, test.before, test.baseline, got)
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

// An application that crashes 50 times a minute for other reasons is not blamed, however short the time before was.
func TestANoisyApplicationIsNotBlamed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	poisson := func(mean float64) (n int) {
		for p := random.Float64(); p > math.Exp(-mean); n++ {
			p *= random.Float64()
		}
		return n
	}
	for _, baseline := range []time.Duration{5 * time.Second, 15 * time.Second, time.Minute} {
		const rounds, kinds, span = 2_000, 5, 10 * time.Second
		blamed := 0
		for range rounds {
			sick := false
			for range kinds { // each ten times a minute
				c := Crash{Count: poisson(span.Minutes() * 10), Before: poisson(baseline.Minutes() * 10)}
				sick = sick || c.IsNew(baseline, span)
			}
			if sick {
				blamed++
			}
		}
		if blamed > rounds/100 {
			t.Errorf("after %s of watching it was blamed %d of %d times", baseline, blamed, rounds)
		}
	}
}
