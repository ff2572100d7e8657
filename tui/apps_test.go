package tui

import (
	"context"
	"errors"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/tuitest"
)

func noApps(context.Context) ([]engine.FlyApp, error)   { return nil, nil }
func noSteps(context.Context, func([]engine.SetupStep)) {}
func someApps() []engine.FlyApp {
	return []engine.FlyApp{
		{Name: "zebra", Org: "acme", Status: "deployed"}, {Name: "cron", Org: "personal", Status: "suspended", Opened: tuitest.Start.Add(-48 * time.Hour)},
		{Name: "東京-shop", Org: "acme", Status: "deployed", Opened: tuitest.Start.Add(-time.Hour)}, {Name: "counter", Org: "demo", Status: "deployed", Here: true},
		{Name: "admin", Org: "acme", Status: "pending"},
	}
}

func someSteps() []engine.SetupStep {
	return []engine.SetupStep{
		{Title: "A token for Fly", Status: engine.StatusDone, Text: "It comes from FLY_API_TOKEN.", Commands: []string{"fly auth login"}},
		{Title: "A bucket for the code that machines load", Status: engine.StatusFailed, Text: "the machines have no BUCKET_NAME\nCreate one.",
			Commands: []string{"fly storage create -a counter -n counter-releases"}},
		{Title: "The startup hook, which loads the upgrade again after a restart", Status: engine.StatusUnknown, Text: "No running machine could be asked.",
			Commands: []string{"FlyDeploy.startup_reapply_current(:counter)   # first in Application.start/2", "fly deploy"}},
	}
}

// unnamed is a console of which nobody has said on which app it is to be.
func unnamed(t *testing.T, s size) *bench {
	work := newBackground(context.Background())
	t.Cleanup(work.end)
	b := &bench{newConsole(Options{Theme: "dark", Apps: noApps, Setup: noSteps, Version: "0.1.0"}, work), t}
	b.Init()
	b.w, b.h, b.now = s.w, s.h, tuitest.Start.Add(20*time.Second)
	return b
}

func TestAppsScreen(t *testing.T) {
	for _, s := range sizes {
		t.Run(s.String(), func(t *testing.T) {
			b := unnamed(t, s)
			b.send(appsMsg{of: b.apps, apps: someApps()})
			b.keys("down")
			b.golden()
		})
	}
}

func TestAnAppIsChosen(t *testing.T) {
	b := unnamed(t, size{80, 24})
	b.shows("which app?", "Asking Fly for the apps")
	b.send(appsMsg{of: b.apps, err: engine.NewProblem("apps_refused", "Fly does not list the apps", errors.New("401"), "Name the app with --app.")})
	b.shows("→ Name the app with --app.")
	b.keys("esc") // there is nothing below
	b.shows("which app?")
	b.send(appsMsg{of: b.apps, apps: someApps()})
	b.shows("▸ counter", "this folder")
	b.keys("/")
	b.types("shop")
	b.keys("enter")
	if b.next == nil || b.next.App != "東京-shop" {
		t.Errorf("next: %+v", b.next)
	}
}

func TestSwitchingTheApp(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{Apps: noApps, Setup: noSteps})
	b.sees(6)
	b.keys(":")
	b.types("app")
	b.keys("enter")
	b.send(appsMsg{of: b.apps, apps: someApps()})
	b.keys("enter") // the one that is open
	if b.apps != nil || b.next != nil {
		t.Error("the app that is open is opened again")
	}
	b.shows("STATE")
	b.keys(":")
	b.types("app")
	b.keys("enter")
	b.send(appsMsg{of: b.apps, apps: someApps()})
	b.keys("down", "enter")
	if b.next == nil || b.next.App != "東京-shop" {
		t.Errorf("next: %+v", b.next)
	}
}

func TestSetupScreen(t *testing.T) {
	everySize(t, Options{Apps: noApps, Setup: noSteps}, func(b *bench) {
		b.sees(6)
		b.openSetup()
		b.send(setupMsg{of: b.setup, steps: someSteps()})
		b.golden()
	})
}

// What is missing is found from the error, its commands are copied, and a console that could not begin goes on once it can.
func TestWhatIsMissing(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{Setup: noSteps, Dir: t.TempDir()})
	o := tuitest.OverviewOf(6)
	o.Storage = &engine.Problem{What: "no bucket", Remedy: "Make one."}
	b.send(overviewMsg{overview: o})
	b.keys("!", "s")
	b.shows("what is needed", "Looking at what is there")
	b.send(setupMsg{of: b.setup, steps: someSteps()})
	b.shows("▸ ✗ A bucket", "the machines have no BUCKET_NAME", "fly storage create -a counter", "✓ A token")
	if b.setup.press(b.console, keyNamed("y")) == nil {
		t.Error("nothing is copied")
	}
	b.keys("esc")
	b.shows("STATE")

	work := newBackground(context.Background())
	defer work.end()
	b = &bench{newConsole(Options{App: "counter", Theme: "dark", Setup: noSteps}, work), t}
	b.Init()
	b.w, b.h = 120, 40
	steps := someSteps()
	steps[0].Status = engine.StatusFailed
	b.send(setupMsg{of: b.setup, steps: steps})
	b.shows("▸ ✗ A token")
	b.hides("go on")
	b.keys("enter", "esc")
	if b.next != nil || b.setup == nil {
		t.Error("it goes on without a token")
	}
	b.send(setupMsg{of: b.setup, steps: someSteps()})
	b.shows("enter go on")
	b.keys("enter")
	if b.next == nil || b.next.App != "counter" {
		t.Errorf("next: %+v", b.next)
	}
}

func TestHostileAppsAndSteps(t *testing.T) {
	for _, s := range sizes {
		b := unnamed(t, s)
		app := engine.FlyApp{}
		step := engine.SetupStep{Status: engine.StatusFailed, Commands: []string{tuitest.Hostile}}
		tuitest.Poison(&app, false)
		tuitest.Poison(&step, false, "Status", "Commands")
		b.send(appsMsg{of: b.apps, apps: []engine.FlyApp{app}})
		b.settle()
		tuitest.CheckHarmless(t, "the apps", cells.String(b.screen()))
		b.console.apps = nil
		b.openSetup()
		b.send(setupMsg{of: b.setup, steps: []engine.SetupStep{step}})
		b.settle()
		tuitest.CheckHarmless(t, "the steps", cells.String(b.screen()))
	}
}

// What is known of the steps is shown while the rest is being asked for; the cursor follows what is not done, until it is moved.
func TestStepsComeOneByOne(t *testing.T) {
	steps := someSteps()
	steps[1].Status, steps[2].Status = engine.StatusRunning, engine.StatusRunning
	b := newBench(t, size{80, 24}, Options{Setup: noSteps})
	b.sees(6)
	b.openSetup()
	b.hides("copy the commands")
	b.setup.come.put(steps)
	b.pass(busyTick)
	b.shows("✓ A token", "▸ "+b.spin()+" A bucket", "looking", "copy the commands")
	steps[1].Status = engine.StatusDone
	b.setup.come.put(steps)
	b.pass(busyTick)
	b.shows("✓ A bucket", "The startup hook")
	if b.setup.at != 2 {
		t.Errorf("the cursor is on step %d", b.setup.at)
	}
	b.keys("up", "up", "y")
	b.shows("That is there already")
	steps[2].Status = engine.StatusFailed
	b.send(setupMsg{of: b.setup, steps: steps})
	b.shows("▸ ✓ A token", "✗ The startup hook")
	b.hides("looking")
}
