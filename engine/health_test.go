package engine

import (
	"testing"
	"time"
)

func TestCrashesThatCameWithTheUpgrade(t *testing.T) {
	for _, test := range []struct {
		count, before     int
		baseline, watched time.Duration
		isNew             bool
	}{
		{1, 0, time.Minute, time.Second, true},
		{1, 0, 0, time.Second, true},
		{0, 0, time.Minute, time.Second, false},
		{8, 50, time.Minute, 10 * time.Second, false},    // 50 a minute before and after
		{8, 1, 5 * time.Second, 10 * time.Second, false}, // the same, of which little was seen
		{25, 50, time.Minute, 10 * time.Second, true},
		{40, 4, 5 * time.Second, 10 * time.Second, true},
		{1_000, 500, 20 * time.Second, 20 * time.Second, true},
		{520, 500, 20 * time.Second, 20 * time.Second, false},
	} {
		c := Crash{Count: test.count, Before: test.before}
		if got := c.IsNew(test.baseline, test.watched); got != test.isNew {
			t.Errorf("%d in %s after %d in %s: %t", test.count, test.watched, test.before, test.baseline, got)
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
