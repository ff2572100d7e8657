package tui

import (
	"testing"
	"time"

	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
)

func TestFleetScreen(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.sees(6)
		b.keys("space", "down", "space")
		b.golden()
	})
}

func TestFleetScreenBeforeTheFirstLook(t *testing.T) {
	everySize(t, Options{}, func(b *bench) { b.golden() })
}

func TestFleetScreenOfAThousandMachines(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.sees(1000)
		b.keys("G", "up")
		b.golden()
	})
}

func TestStagingScreen(t *testing.T) {
	before, _, _ := upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before[:len(before)*3/5], nil)
		b.golden()
	})
}

func TestBuildScreen(t *testing.T) {
	before, _, _ := upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before[:13], nil)
		b.golden()
	})
}

func TestPlanScreen(t *testing.T) {
	before, _, _ := upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.golden()
	})
}

func TestPlanScreenWithBlockers(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.deploys(blocked(6, engine.SeverityBlock), nil)
		b.keys("D")
		b.golden()
	})
}

func TestCommitScreen(t *testing.T) {
	before, after, _ := upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after[:26], nil)
		b.golden()
	})
}

func TestCommitScreenOfAHundredMachines(t *testing.T) {
	before, after, _ := upgraded(100)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after[:len(after)/2], nil)
		b.golden()
	})
}

func TestFailureScreen(t *testing.T) {
	before, after, end := rolledBack(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after, &end)
		b.golden()
	})
}

func TestFailureDetails(t *testing.T) {
	before, after, end := rolledBack(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after, &end)
		b.keys("enter")
		b.golden()
	})
}

func TestSummaryScreen(t *testing.T) {
	before, after, end := upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after, &end)
		b.golden()
	})
}

func TestLockDialog(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.deploys(locked(), nil)
		b.golden()
	})
}

func TestOverrideDialog(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.deploys(locked(), nil)
		b.keys("o")
		b.types("coun")
		b.golden()
	})
}

func TestLeaveDialog(t *testing.T) {
	before, after, _ := upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after[:20], nil)
		b.keys("esc")
		b.golden()
	})
}

func TestHelpDialog(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.sees(6)
		b.keys("?")
		b.golden()
	})
}

func TestASCIIScreen(t *testing.T) {
	before, after, _ := upgraded(6)
	b := newBench(t, size{120, 40}, Options{ASCII: true})
	b.deploys(before, nil)
	b.hears(after[:26], nil)
	b.golden()
}

// TestColours keeps the escape sequences: tones, the cursor's band, both palettes.
func TestColours(t *testing.T) {
	for _, theme := range []string{"dark", "light"} {
		t.Run(theme, func(t *testing.T) {
			b := newBench(t, size{80, 24}, Options{Theme: theme})
			b.sees(6)
			golden.RequireEqual(t, b.View().Content)
		})
	}
}

// locked is a deploy that somebody else's lock keeps waiting.
func locked() []engine.Event {
	s := newScript(6)
	held := engine.LockInfo{
		LockedBy: "bob@ci-7", LockedAt: scriptStart.Add(-2 * time.Minute), ExpiresAt: scriptStart.Add(3 * time.Minute),
		DeploymentID: "01K93P0000Z7M4W2T8XCVDFGH1",
	}
	s.emit(engine.Event{
		Phase: engine.PhaseLock, Status: engine.StatusRunning, StartedAt: s.at, Upgrade: &s.upgrade,
		Held: &engine.LockHeld{LockInfo: held, ETag: `"etag-of-bob"`},
	})
	return s.events
}

// blocked is a deploy whose plan has findings of a severity that must be accepted by name, or cannot.
func blocked(n int, severity engine.Severity) []engine.Event {
	s := newScript(n)
	s.start()
	s.build()
	s.stage()
	p := s.plan()
	for _, name := range []string{"rollback_slow", "migrations_added"} {
		p.Findings = append(p.Findings, engine.Finding{
			Name: name, Severity: severity, What: "taking this upgrade back would suspend processes for about 5.6 s",
			Remedy: "Deploy at a quiet time, or deploy cold: fly deploy", Machines: []string{s.machines[0].ID, s.machines[n-1].ID},
		})
	}
	s.ask(p)
	return s.events
}
