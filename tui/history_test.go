package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// records opens the record of deploys.
func (b *bench) records() {
	b.sees(6)
	b.send(b.do("r"))
}

func TestRecordListsThePastDeploys(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.records()
	b.shows("● running", "✓ succeeded", "✗ partial", "– cancelled", "? unreadable", "5/6", "61.2 ms", "bob@ci-7", "watch live")
	b.keys("down", "down")
	b.shows("https://ci.example.com", "enter replay")
	b.keys("/")
	b.types("!ada")
	b.hides("✓ succeeded")
	b.shows("● running", "/ !ada")
	b.keys("esc", "/")
	b.types("running")
	b.hides("✓ succeeded")
	b.shows("● running")
	b.keys("esc", "esc")
	b.shows("wispy-frost-12")
}

// Fly bounds how often the machines are listed, for all who look at an app together.
func TestTheFleetIsReadWhileItIsShown(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{})
	b.sees(6)
	reads := func() bool {
		b.looks.waiting = true
		_, cmd := b.Update(overviewMsg{overview: tuitest.OverviewOf(6)})
		return cmd != nil
	}
	if !reads() {
		t.Fatal("the fleet is not read again while it is shown")
	}
	b.keys("r")
	if reads() {
		t.Fatal("the fleet is read while the record is shown")
	}
	b.send(historyMsg{of: b.past, past: tuitest.PastDeploys()})
	b.keys("enter")
	if reads() {
		t.Fatal("the fleet is read during a replay")
	}
	for _, k := range []string{"esc", "esc"} {
		b.looks.waiting = false
		b.keys(k)
	}
	if !b.looks.waiting || !reads() {
		t.Fatal("the fleet is not read on the way back")
	}
}

func TestRecordThatCannotBeReadTellsWhy(t *testing.T) {
	o := offering(Options{App: "counter"})
	backendOf(o).OnHistory = func(context.Context) ([]engine.Past, error) {
		return nil, engine.NewProblem("storage", "read the record", errors.New("403 Forbidden"), "Look at the bucket's keys.")
	}
	b := newBench(t, size{80, 24}, o)
	b.records()
	b.shows("403 Forbidden", "Look at the bucket's keys.")
}

func TestWithoutARecordItsKeysAreNotOffered(t *testing.T) {
	b := newBench(t, size{200, 60}, Options{App: "counter"})
	b.sees(6)
	b.hides("r record")
	b.keys("r")
	if b.past != nil {
		t.Fatal("a record was opened that is not there")
	}
	b.keys("?")
	b.hides("record of deploys")
}

// replaying opens the record's succeeded deploy.
func (b *bench) replaying() *replay {
	b.records()
	b.keys("down")
	b.send(b.do("enter"))
	return b.watched.guest.replay
}

func TestReplayShowsADeployAsItWent(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	r := b.replaying()
	b.shows("replay 0s of 17s", "1×")
	for !r.over() {
		before := r.next
		b.pass(time.Second)
		if r.next == before && !r.over() && r.events[r.next].At.Sub(r.at) > skipIdle {
			t.Fatal("a replay waits for longer than it should")
		}
	}
	b.shows("replay ended 17s of 17s", "succeeded, 6 of 6 machines in 17s, suspended max 8.1 ms, by ada@laptop", "✓ upgraded", "✓ Unlock")
	b.keys("enter")
	b.shows("machine 148e00016c0000", "Code Load")
	b.keys("esc", "esc")
	if b.watched != nil || b.past == nil {
		t.Fatal("esc leads from a replay back to the record")
	}
}

func TestReplayOfADeployThatSuspendedNothing(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.records()
	b.keys("down", "down", "down")
	b.send(b.do("enter"))
	for range 20 {
		b.pass(10 * time.Second)
	}
	b.shows("– cancelled, 0 of 6 machines in 9s, by bob@ci-7")
}

func TestReplayTellsWhatBecameOfTheMachines(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	end := engine.Result{Outcome: engine.OutcomeCancelled}
	for _, m := range tuitest.NewScript(6).Machines {
		end.Machines = append(end.Machines, engine.MachineResult{ID: m.ID, Outcome: "aborted"})
	}
	b := newBench(t, size{120, 40}, Options{})
	backendOf(b.opts).OnEvents = func(context.Context, string) ([]engine.Event, *engine.Result, error) {
		return tuitest.Recorded(before, nil, end), &end, nil
	}
	r := b.replaying()
	for !r.over() {
		b.hides("aborted")
		b.pass(time.Second)
	}
	b.shows("aborted", "6 not upgraded of 6 machines")
	b.hides("○ staged", "ready", "█")
	b.keys("left")
	b.hides("aborted")
}

func TestReplayAtAnySpeedToAndFro(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	r := b.replaying()
	b.keys("+", "+")
	b.pass(time.Second)
	if got := r.at.Sub(r.begin()); got != 5*time.Second {
		t.Fatalf("one second at speed 5 plays %s", got)
	}
	b.keys("-", "-", "-")
	b.shows("0.5×")
	b.keys("space")
	at := r.at
	b.pass(time.Minute)
	if b.shows("paused"); r.at != at {
		t.Fatal("a paused replay goes on")
	}
	b.keys("right", "right", "right")
	end := b.text()
	b.keys("left")
	b.hides("✓ upgraded")
	b.keys("right", "right")
	if again := b.text(); again != end {
		t.Fatalf("to and fro leads elsewhere:\n%s\n%s", end, again)
	}
	for range 5 {
		b.keys("left")
	}
	if r.at != r.begin() || r.next == 0 {
		t.Fatal("before its begin a replay shows its first event")
	}
	next := r.next
	b.keys(".")
	if r.next != next+1 {
		t.Fatalf("a step plays %d events", r.next-next)
	}
	b.keys("h", "l")
}

func TestARecordThatIsGoneTellsWhy(t *testing.T) {
	o := offering(Options{App: "counter"})
	backendOf(o).OnEvents = func(context.Context, string) ([]engine.Event, *engine.Result, error) {
		return nil, nil, engine.NewProblem("no_record", "there is no record of deploy 01K93", nil, "`flydeploy history` lists the recorded deploys.")
	}
	b := newBench(t, size{80, 24}, o)
	b.replaying()
	b.shows("there is no record of deploy 01K93", "flydeploy history")
	b.keys("esc")
	b.shows("✓ succeeded")
}

func TestARunningDeployIsWatched(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.records()
	_, cmd := b.Update(keyNamed("enter"))
	b.shows("watching")
	b.send(cmd())
	b.pass(busyTick)
	b.shows("✓ upgraded", "ada@laptop")
	s := b.watched.session
	b.send(s.read(b.work, 0)())
	b.shows("that deploy has ended")
	b.keys("D", "d", "x", "o") // nothing of it is ours
	if b.deploy != nil || b.dialog != nil {
		t.Fatal("a watched deploy can be answered")
	}
	b.keys("esc")
	b.shows("● running")
}

func TestAWatchedDeploysEndIsTold(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	end := tuitest.NewScript(6).Result(engine.OutcomeBlocked)
	end.Problem = &engine.Problem{What: "blocked by the plan: lingering", Remedy: "Wait until these processes end."}
	for i := range end.Machines {
		end.Machines[i].Outcome = "aborted"
	}
	o := offering(Options{App: "counter", WatchID: tuitest.UpgradeID})
	backendOf(o).OnWatch = func(string) engine.Source { return tuitest.PlayRecorded(before) }
	backendOf(o).OnOutcome = func(_ context.Context, id string) (engine.Result, error) {
		if id != tuitest.UpgradeID {
			t.Errorf("asked for deploy %s", id)
		}
		return end, nil
	}
	b := newBench(t, size{80, 24}, o)
	b.watch(o.WatchID)
	s := b.watched.session
	for range 2 {
		b.send(s.read(b.work, 0)())
	}
	b.shows("that deploy has ended", "blocked, 0 of 6 machines took it", "blocked by the plan: lingering", "6 not upgraded of 6 machines")
	b.hides("The record ends here", "ready")
	b.pass(time.Second)
	if b.watched.moves() {
		t.Fatal("an ended deploy goes on moving")
	}
}

func TestReplayOfAFileIsTheWholeConsole(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{App: "counter", Record: tuitest.Recorded(tuitest.RolledBack(3)), Speed: 1})
	b.Init()
	b.shows("replay 0s of")
	for range 10 {
		b.pass(10 * time.Second)
	}
	b.shows("replay ended", "↺ rolled back", "The record ends here.")
	b.keys("r", "d")
	if _, cmd := b.Update(keyNamed("esc")); cmd == nil || cmd() != tea.Quit() {
		t.Fatal("esc leaves a console that was started for a replay")
	}
}

func TestReplayAtTheSpeedOfTheCommandLine(t *testing.T) {
	for speed, shows := range map[float64]string{0: "replay ended", 1: "1×", 3: "5×", 1000: "200×", 0.0001: "0.001×"} {
		b := newBench(t, size{80, 24}, Options{App: "counter", Record: tuitest.Recorded(tuitest.Upgraded(3)), Speed: speed})
		b.Init()
		b.stale = true
		b.shows(shows)
	}
}

func TestReplayOfNothing(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{App: "counter", Record: []engine.Event{}})
	b.Init()
	b.pass(time.Second)
	b.keys(".", "left", "right", "+", "enter", "p", "L")
	b.fits()
}

func TestCopyGoesToTheClipboardAndIntoAFile(t *testing.T) {
	dir := t.TempDir()
	o := offering(Options{App: "counter", Dir: dir})
	b := newBench(t, size{120, 40}, o)
	b.sees(6)
	b.keys("a")
	_, cmd := b.Update(keyNamed("y"))
	var clipboard string
	for _, c := range cmd().(tea.BatchMsg) {
		msg := c()
		if m, ok := msg.(copiedMsg); ok {
			b.send(m)
		} else {
			clipboard = fmt.Sprint(msg.(tea.RawMsg).Msg)
		}
	}
	file, err := os.ReadFile(dir + "/copied.txt")
	if err != nil || strings.Count(string(file), "\n") != 6 || clipboard != ansi.SetSystemClipboard(string(file)) {
		t.Fatalf("copied %q into the file, %q to the clipboard: %v", file, clipboard, err)
	}
	b.shows("Copied 6 marked ids to the clipboard and to " + dir)
	if info, err := os.Stat(dir + "/copied.txt"); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("others can read what was copied: %v, %v", info, err)
	}
}

func TestEveryScreenCopiesWhatItShows(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	if what, text := b.fleet.copied(); what != "the id 148e00026c1eef" || text != "148e00026c1eef\n" {
		t.Errorf("the fleet copies %q: %q", what, text)
	}
	b.records()
	b.keys("down")
	if what, text := b.past.copied(); !strings.Contains(what, tuitest.UpgradeID) || !strings.Contains(text, "4f2c91a") {
		t.Errorf("the record copies %q: %q", what, text)
	}
	before, after, end := tuitest.RolledBack(6)
	b.deploys(before, nil)
	if what, text := b.deploy.copied(b.console); what != "the plan" || !strings.Contains(text, "Counter.Server") {
		t.Errorf("the plan copies %q: %q", what, text)
	}
	b.hears(after, &end)
	if what, text := b.deploy.copied(b.console); !strings.Contains(what, "148e00016c0000") || !strings.Contains(text, "server.ex:71") {
		t.Errorf("a machine copies %q: %q", what, text)
	}
}

// The record of a console that was killed tells no end of the machines: what they did is not known.
func TestReplayOfADeployWhoseEndNobodyKnows(t *testing.T) {
	s := tuitest.NewScript(2)
	s.Start()
	s.Stage()
	s.Emit(engine.Event{Machine: s.Machines[0].ID, Phase: engine.PhaseCodeLoad, Status: engine.StatusDone})
	b := newBench(t, size{120, 40}, Options{})
	backendOf(b.opts).OnEvents = func(context.Context, string) ([]engine.Event, *engine.Result, error) {
		return s.Events, &engine.Result{Outcome: engine.OutcomeUnfinished, Machines: []engine.MachineResult{}}, nil
	}
	r := b.replaying()
	for !r.over() {
		b.pass(time.Second)
	}
	b.shows("committing", "1 running")
	b.hides("not upgraded")
}
