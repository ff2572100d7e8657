package tui

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
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
		o := tuitest.OverviewOf(6)
		o.Machines[2].Image = "registry.fly.io/counter:deployment-01K92N9999"
		o.Lock = &engine.LockInfo{LockedBy: "bob@ci-7", LockedAt: tuitest.Start, ExpiresAt: tuitest.Start.Add(5 * time.Minute)}
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
		o := tuitest.OverviewOf(6)
		o.Lock = &engine.LockInfo{
			LockedBy: "bob@ci-7", LockedAt: tuitest.Start, ExpiresAt: tuitest.Start.Add(5 * time.Minute), DeploymentID: tuitest.UpgradeID,
		}
		b.send(overviewMsg{overview: o})
		b.keys("v")
		b.askHolder()
		b.send(holderMsg{holderOf("ada@laptop")})
		b.golden()
	})
}

// holderOf is what the record tells of a deploy that stages, once it was read by me.
func holderOf(me string) holder {
	before, _, _ := tuitest.Upgraded(6)
	h := holder{id: tuitest.UpgradeID, me: me}
	for i, e := range before {
		if e.Phase == engine.PhaseStage && e.Status == engine.StatusDone {
			before = before[:i]
			break
		}
	}
	h.read(before)
	h.upgrade.Version, h.upgrade.Message, h.upgrade.CILink = "0.2.0", "the new counter, 新しい", "https://ci.example.com/builds/1234"
	return h
}

func TestFrozenFleetScreen(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		o := tuitest.OverviewOf(6)
		o.Lock = &tuitest.Freeze
		b.send(overviewMsg{overview: o})
		b.golden()
	})
}

func TestFreezeDialogs(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.deploys(tuitest.Frozen(), nil)
		b.golden()
	})
}

// Nothing can be watched of a freeze, and only the typed name of the app overrides it.
func TestAFreezeIsWaitedForOrOverridden(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	o := tuitest.OverviewOf(6)
	o.Lock = &tuitest.Freeze
	b.send(overviewMsg{overview: o})
	b.shows("! frozen by ann@laptop until 14:00 (in 1h 59m): Black Friday")
	b.keys("v")
	b.shows("Deploys are frozen", "because    Black Friday", "Releasing ends the freeze", "[ r Release it ]")
	b.hides("Watch it live", "owner")
	b.keys("esc")
	b.deploys(tuitest.Frozen(), nil)
	b.shows("Deploys are frozen", "until      14:00 (in 1h 59m)")
	b.hides("Watch it live")
	b.keys("w")
	b.shows("Frozen by ann@laptop until 14:00")
	b.hides("watch live")
	b.keys("v")
	if b.watched != nil {
		t.Error("a freeze is watched")
	}
	b.keys("o")
	b.shows("Override the freeze", "Overriding ends the freeze for", "Type counter:")
	b.hides("you know is dead")
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
		before, after, _ := tuitest.Upgraded(6)
		b.sees(6)
		b.watch("01K93QZZZZ7M4W2T8XCVDFGH1J")
		b.watched.session.events = append(before, after[:26]...)
		b.send(newsMsg{of: b.watched.session})
		b.pass(busyTick)
		b.golden()
	})
}

func TestLogScreen(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
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
	before, _, _ := tuitest.Upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before[:len(before)*3/5], nil)
		b.golden()
	})
}

func TestBuildScreen(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before[:13], nil)
		b.golden()
	})
}

func TestPlanScreen(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.golden()
	})
}

func TestPlanScreenWithBlockers(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.deploys(tuitest.Blocked(6, engine.SeverityBlock), nil)
		b.keys("D")
		b.golden()
	})
}

func TestCommitScreen(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after[:26], nil)
		b.golden()
	})
}

func TestVitalsScreen(t *testing.T) {
	before, watching, _, _ := tuitest.Watched(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(watching, nil)
		b.golden()
	})
}

// The details of a machine have all of its vitals; a deploy that has ended shows again how long processes were suspended.
func TestVitalsOfAMachine(t *testing.T) {
	before, watching, ended, end := tuitest.Watched(6)
	b := newBench(t, size{80, 40}, Options{})
	b.deploys(before, nil)
	b.hears(watching, nil)
	b.shows("BUSY", "CRASHES")
	b.hides("SUSPENDED")
	b.keys("down", "enter")
	b.shows("memory     1.2 GB", "busy       ▆▇▇█▁▂ 19 %", "alive      3,205 processes", "mailbox    12 of Counter.Gate", "crashes    3 → 214 a minute",
		"restarts   1 → 9 a minute", "checks     1 of 2 pass")
	b.keys("esc")
	b.hears(ended, &end)
	b.shows("SUSPENDED")
	b.hides("BUSY")
}

func TestCommitScreenOfAHundredMachines(t *testing.T) {
	before, after, _ := tuitest.Upgraded(100)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after[:len(after)/2], nil)
		b.golden()
	})
}

func TestFailureScreen(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after, &end)
		b.golden()
	})
}

func TestFailureDetails(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after, &end)
		b.keys("enter")
		b.golden()
	})
}

func TestSummaryScreen(t *testing.T) {
	before, after, end := tuitest.Upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after, &end)
		b.golden()
	})
}

func TestLockDialog(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.deploys(tuitest.Locked(), nil)
		b.golden()
	})
}

func TestOverrideDialog(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.deploys(tuitest.Locked(), nil)
		b.keys("o")
		b.types("coun")
		b.golden()
	})
}

func TestLeaveDialog(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
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
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{ASCII: true})
	b.deploys(before, nil)
	b.hears(after[:26], nil)
	b.golden()
}

func TestSummaryScreenOfAThousandMachines(t *testing.T) {
	before, after, end := tuitest.Upgraded(1000)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after, &end)
		b.golden()
	})
}

// TestRule12BelowTheLeastSizeOneLineTellsTheState has one line for each state.
func TestRule12BelowTheLeastSizeOneLineTellsTheState(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
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
	b.deploys(tuitest.Locked(), nil)
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
	before, after, end := tuitest.RolledBack(6)
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

func TestTimelineScreen(t *testing.T) {
	before, watching, _, _ := tuitest.Watched(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.pass(time.Minute) // of thinking
		b.hears(watching, nil)
		b.keys("t")
		b.golden()
	})
}

// What has failed is marked, also once the deploy has ended.
func TestTimelineOfAFailure(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after, &end)
		b.keys("t")
		b.golden()
	})
}

// The bar of machines only grows.
func TestTheBarNeverGoesBack(t *testing.T) {
	before, after, end := tuitest.Upgraded(20)
	barGrows(t, append(before, after...), end)
	before, watching, ended, end := tuitest.Watched(20)
	barGrows(t, slices.Concat(before, watching, ended), end)
}

func barGrows(t *testing.T, events []engine.Event, end engine.Result) {
	t.Helper()
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(nil, nil)
	full, all := 0, 0
	step := func(e []engine.Event, end *engine.Result) {
		b.hears(e, end)
		if len(b.deploy.board.rows) == 0 {
			return
		}
		var done, drawn int
		for _, s := range b.deploy.bar(120)[1:3] {
			drawn += len([]rune(s.Text))
			if strings.Contains(s.Text, "█") {
				done = len([]rune(s.Text))
			}
		}
		if done < full || drawn < all {
			t.Fatalf("the bar went back from %d of %d to %d of %d cells after %+v", full, all, done, drawn, e)
		}
		full, all = done, drawn
	}
	for _, e := range events {
		step([]engine.Event{e}, nil)
	}
	step(nil, &end)
	if full == 0 || full != all {
		t.Errorf("at its end the bar has %d of %d cells", full, all)
	}
}

// The steps stay on their rows while times are added.
func TestTheStepsStayOnTheirRows(t *testing.T) {
	before, after, end := tuitest.Upgraded(6)
	for _, w := range []int{80, 120, 160, 200} {
		b := newBench(t, size{w, 40}, Options{})
		b.deploys(nil, nil)
		rows := map[int]bool{}
		for _, e := range append(before, after...) {
			b.hears([]engine.Event{e}, nil)
			rows[len(b.deploy.steps(b.console, w))] = true
			if all := b.deploy.steps(b.console, w); len(all) == 2 && strings.Fields(all[1].Text())[1] != "Commit" {
				t.Fatalf("at %d cells the second row is %q", w, all[1].Text())
			}
		}
		b.hears(nil, &end)
		if len(rows) != 1 {
			t.Errorf("at %d cells the steps have %v rows", w, rows)
		}
	}
}
