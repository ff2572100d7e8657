package tui

import (
	"bytes"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
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

func TestFleetScreenOfOneMachine(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.sees(1)
		b.golden()
	})
}

// Two machines drift: one has another image than the record, one is in a region of its own.
func TestFleetScreenSortedAndFiltered(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		o := overviewOf(6)
		o.Machines[2].Image = "registry.fly.io/counter:deployment-01K92N9999"
		o.Lock = &engine.LockInfo{LockedBy: "bob@ci-7", LockedAt: scriptStart, ExpiresAt: scriptStart.Add(5 * time.Minute)}
		b.send(overviewMsg{overview: o})
		b.keys("N", "/")
		b.types("!quiet")
		b.golden()
	})
}

func TestReadOnlyScreen(t *testing.T) {
	everySize(t, Options{App: "counter", ReadOnly: true}, func(b *bench) {
		b.sees(6)
		b.golden()
	})
}

func TestMachineDetails(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.sees(6)
		b.keys("enter")
		b.golden()
	})
}

func TestFleetLockDialog(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		o := overviewOf(6)
		o.Lock = &engine.LockInfo{
			LockedBy: "bob@ci-7", LockedAt: scriptStart, ExpiresAt: scriptStart.Add(5 * time.Minute), DeploymentID: scriptUpgradeID,
		}
		b.send(overviewMsg{overview: o})
		b.keys("v")
		b.golden()
	})
}

func TestPaletteScreen(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.sees(6)
		b.keys(":")
		b.types("ma")
		b.keys("down")
		b.golden()
	})
}

func TestRecordScreen(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.records()
		b.keys("down", "down")
		b.golden()
	})
}

func TestReplayScreen(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.replaying()
		b.keys("+", "+")
		for range 33 {
			b.pass(busyTick)
		}
		b.keys("space")
		b.golden()
	})
}

func TestReplayScreenAtItsEnd(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.replaying()
		for range 3 {
			b.pass(time.Minute)
		}
		b.golden()
	})
}

func TestWatchScreen(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		before, after, _ := upgraded(6)
		b.sees(6)
		b.watch("01K93QZZZZ7M4W2T8XCVDFGH1J")
		b.watched.session.events = append(before, after[:26]...)
		b.send(newsMsg{of: b.watched.session})
		b.pass(busyTick)
		b.golden()
	})
}

func TestLogScreen(t *testing.T) {
	before, after, _ := upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(append(before, after[:26]...), nil)
		b.keys("L", "/")
		b.types("counter")
		b.keys("enter", "up", "up")
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

func TestSummaryScreenOfAThousandMachines(t *testing.T) {
	before, after, end := upgraded(1000)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after, &end)
		b.golden()
	})
}

// TestRule12BelowTheLeastSizeOneLineTellsTheState has one line for each state.
func TestRule12BelowTheLeastSizeOneLineTellsTheState(t *testing.T) {
	before, after, end := rolledBack(6)
	var rows []string
	show := func(b *bench) {
		b.fits()
		first, rest, _ := strings.Cut(b.text(), "\n")
		if strings.TrimSpace(rest) != "" {
			t.Errorf("more than one line:\n%s", b.text())
		}
		rows = append(rows, strings.TrimRight(first, " "))
	}
	b := newBench(t, size{59, 15}, Options{})
	show(b)
	b.sees(6)
	show(b)
	b.deploys(locked(), nil)
	show(b)
	b = newBench(t, size{59, 15}, Options{})
	b.deploys(before[:len(before)-1], nil)
	show(b)
	b.hears(before[len(before)-1:], nil)
	show(b)
	b.hears(after[:20], nil)
	show(b)
	b.keys("ctrl+c")
	show(b)
	b.keys("s")
	b.hears(after[20:], &end)
	show(b)
	b = newBench(t, size{120, 40}, Options{})
	b.replaying()
	b.send(tea.WindowSizeMsg{Width: 59, Height: 15})
	show(b)
	golden.RequireEqual(t, strings.Join(rows, "\n")+"\n")
}

// TestRule9NoColour is the console where colours are off: what the terminal gets differs in escapes alone.
func TestRule9NoColour(t *testing.T) {
	before, after, end := rolledBack(6)
	b := newBench(t, size{80, 24}, Options{})
	b.deploys(before, nil)
	b.hears(after, &end)
	var out bytes.Buffer
	w := colorprofile.Writer{Forward: &out, Profile: colorprofile.ASCII}
	if _, err := w.WriteString(b.View().Content); err != nil {
		t.Fatal(err)
	}
	if ansi.Strip(out.String()) != b.text() || strings.Contains(out.String(), "38;2") {
		t.Fatal("colours are left, or text is gone")
	}
	golden.RequireEqual(t, out.String())
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
