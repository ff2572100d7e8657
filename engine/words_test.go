package engine

import "testing"

func TestNumbersHaveTheirNouns(t *testing.T) {
	for want, got := range map[string]string{
		"0 machines":                 Counted(0, "machine"),
		"1 machine":                  Counted(1, "machine"),
		"2 processes":                Counted(2, "process"),
		"canary, then 1 machine":     Strategy{Kind: StrategyCanary}.describe(2),
		"2 waves of up to 1 machine": Strategy{Kind: StrategyRolling, WaveSize: 1}.describe(2),
		"1 machine runs":             running(1), "6 machines run": running(6), "1 machine recorded apart from the fleet": metadataText(Metadata{MachineUpgrades: map[string]HotUpgrade{"a": {}}}, ""),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
