package engine

import (
	"slices"
	"testing"
	"time"
)

func TestWaves(t *testing.T) {
	for _, c := range []struct {
		strategy  Strategy
		machines  int
		sizes     []int
		described string
	}{
		{Strategy{}, 6, []int{6}, "all at once"},
		{Strategy{Kind: StrategyAll, Bake: 10 * time.Second}, 6, []int{6}, "all at once, watched for 10s"},
		{Strategy{Kind: StrategyAll, WaveSize: 4}, 6, []int{4, 2}, "2 waves of up to 4 machines"},
		{Strategy{Kind: StrategyRolling}, 7, []int{3, 3, 1}, "3 waves of up to 3 machines"},
		{Strategy{Kind: StrategyRolling}, 1, []int{1}, "all at once"},
		{Strategy{Kind: StrategyRolling, WaveSize: 5, Bake: 10 * time.Second}, 11, []int{5, 5, 1}, "3 waves of up to 5 machines, each watched for 10s"},
		{Strategy{Kind: StrategyCanary, Bake: 30 * time.Second}, 6, []int{1, 5}, "canary, then 5 machines, each watched for 30s"},
		{Strategy{Kind: StrategyCanary, WaveSize: 2}, 6, []int{1, 2, 2, 1}, "canary, then 5 machines in 3 waves"},
		{Strategy{Kind: StrategyCanary}, 1, []int{1}, "all at once"},
		{Strategy{}, 0, nil, "all at once"},
		{Strategy{Kind: "1,10%,50%,100%"}, 1000, []int{1, 99, 400, 500}, "4 waves of up to 500 machines"},
		{Strategy{Kind: "1,10%,50%,100%"}, 6, []int{1, 2, 3}, "3 waves of up to 3 machines"},
		{Strategy{Kind: "2,5"}, 6, []int{2, 3, 1}, "3 waves of up to 3 machines"},
		{Strategy{Kind: "50%,4,100%"}, 6, []int{3, 1, 2}, "3 waves of up to 3 machines"},
	} {
		if sizes := c.strategy.Waves(c.machines); !slices.Equal(sizes, c.sizes) {
			t.Errorf("%+v of %d machines: %v, want %v", c.strategy, c.machines, sizes, c.sizes)
		}
		if text := c.strategy.Describe(c.machines); text != c.described {
			t.Errorf("%+v of %d machines: %q, want %q", c.strategy, c.machines, text, c.described)
		}
	}
}

// Waves do not cross from one region to the next.
func TestWavesOfGroups(t *testing.T) {
	for _, c := range []struct {
		strategy  Strategy
		groups    []int
		sizes     []int
		described string
	}{
		{Strategy{Kind: StrategyAll, By: WavesByRegion, Bake: 10 * time.Second}, []int{3, 2, 1}, []int{3, 2, 1}, "3 waves of up to 3 machines of one region each, each watched for 10s"},
		{Strategy{Kind: StrategyRolling, WaveSize: 4, By: WavesByGroup}, []int{6, 6}, []int{4, 2, 4, 2}, "4 waves of up to 4 machines of one process group each"},
		{Strategy{Kind: StrategyCanary, By: WavesByRegion}, []int{3, 2}, []int{1, 2, 2}, "canary, then 4 machines in 2 waves of one region each"},
		{Strategy{Kind: StrategyCanary, By: WavesByRegion}, []int{1, 2}, []int{1, 2}, "canary, then 2 machines of one region each"},
		{Strategy{Kind: "1,50%,100%", By: WavesByRegion, Pause: PauseForKey}, []int{4, 6}, []int{1, 3, 1, 5}, "4 waves of up to 5 machines of one region each, and then until somebody goes on"},
		{Strategy{Kind: StrategyRolling, Bake: time.Second, Pause: time.Minute}, []int{6}, []int{2, 2, 2}, "3 waves of up to 2 machines, each watched for 1s, and 1m before the next one"},
	} {
		if sizes := c.strategy.Waves(c.groups...); !slices.Equal(sizes, c.sizes) {
			t.Errorf("%+v of %v machines: %v, want %v", c.strategy, c.groups, sizes, c.sizes)
		}
		if text := c.strategy.Describe(c.groups...); text != c.described {
			t.Errorf("%+v of %v machines: %q, want %q", c.strategy, c.groups, text, c.described)
		}
	}
}

func TestAResumedDeploysWaves(t *testing.T) {
	earlier := Strategy{Kind: StrategyRolling, By: WavesByRegion, Pause: time.Minute}
	if s := (Strategy{Kind: StrategyAll}).Resuming(earlier, StrategyGiven{}); s != earlier {
		t.Errorf("resumed as %+v", s)
	}
	given := Strategy{Kind: StrategyAll, By: WavesByGroup, Pause: PauseForKey}
	if s := given.Resuming(earlier, StrategyGiven{By: true, Pause: true}); s.Kind != StrategyRolling || s.By != WavesByGroup || s.Pause != PauseForKey {
		t.Errorf("resumed as %+v", s)
	}
}

func TestStrategiesThatThereAre(t *testing.T) {
	for kind, valid := range map[StrategyKind]bool{
		"all": true, "canary": true, "1": true, "1,10%,100%": true, "": false, "0,1": false, "1,,2": false, "1,x": false, "-1": false, "1;2": false, "1,": false, "%": false,
		"5,10%,7,50%": true, "50%,10%": false, "10%,10%": false, "200%": false, "101%": false, "5,3": false, "5,10%,5": false,
		"999999": true, "1000000": false, "99999999999999999999": false, "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20": true,
		"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21": false,
	} {
		if kind.Valid() != valid {
			t.Errorf("%q: valid is %t", kind, !valid)
		}
	}
}
