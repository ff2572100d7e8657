package tui

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
	"flydeploy/tui/view"
)

// deployRecorder gives Options whose Deploy keeps what was selected.
func deployRecorder(selected *[]engine.Selection) Options {
	return Options{App: "counter", Backend: &tuitest.Backend{OnDeploy: func(r engine.Request) (plain.Deployment, error) {
		*selected = append(*selected, r.Select)
		return tuitest.Play(nil, nil, engine.Result{}), nil
	}}}
}

// do presses a key and runs the command that comes of it.
func (b *bench) do(name string) tea.Msg {
	_, cmd := b.Update(keyNamed(name))
	if cmd == nil {
		return nil
	}
	return cmd()
}

// begins opens the sheet of a deploy, and begins it.
func (b *bench) begins(opening ...string) tea.Msg {
	for _, name := range opening {
		if m, is := b.do(name).(sheetMsg); is {
			b.send(m)
		}
	}
	if b.sheet == nil {
		return nil
	}
	return b.do("enter")
}

func TestDeployTakesTheMarkedMachines(t *testing.T) {
	var selected []engine.Selection
	b := newBench(t, size{120, 40}, deployRecorder(&selected))
	b.sees(6)
	b.keys("space", "down", "space")
	b.begins("d")
	if len(selected) != 1 || len(selected[0].Machines) != 2 {
		t.Fatalf("selected %+v, want the two marked machines", selected)
	}
	if b.deploy == nil {
		t.Fatal("the deploy's screen is not shown")
	}
}

func TestDeployWithoutMarksTakesAll(t *testing.T) {
	var selected []engine.Selection
	b := newBench(t, size{120, 40}, deployRecorder(&selected))
	b.sees(6)
	b.begins("d")
	if len(selected) != 1 || len(selected[0].Machines) != 0 {
		t.Fatalf("selected %+v, want everything", selected)
	}
}

func TestRule5HiddenMarksActOnlyWhenIncluded(t *testing.T) {
	var selected []engine.Selection
	b := newBench(t, size{120, 40}, deployRecorder(&selected))
	b.sees(6)
	b.keys("a", "/")
	b.types("ams")
	b.keys("enter")
	b.shows("6 marked", "4 hidden")
	b.do("d")
	if len(selected) != 0 {
		t.Fatal("deployed to machines that the filter hides without a question")
	}
	b.shows("6 marked, 4 hidden by the filter", "4 machines: ")
	b.do("enter") // the focus is on Cancel
	if len(selected) != 0 || b.dialog != nil {
		t.Fatal("enter alone must cancel")
	}
	b.begins("d", "v")
	b.deploy = nil
	b.begins("d", "i")
	if len(selected) != 2 || len(selected[0].Machines) != 2 || len(selected[1].Machines) != 6 {
		t.Fatalf("selected %+v, want the 2 visible machines, then all 6", selected)
	}
}

func TestFilteredFleetWithoutMarksIsNotDeployed(t *testing.T) {
	var selected []engine.Selection
	b := newBench(t, size{120, 40}, deployRecorder(&selected))
	b.sees(6)
	b.keys("/")
	b.types("fra")
	b.keys("enter")
	b.hides("deploy all")
	b.do("d")
	if len(selected) != 0 {
		t.Fatal("a filter is no selection: nothing may start")
	}
	b.shows("No machine is marked")
}

func TestFilter(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.keys("/")
	b.types("stopped")
	b.shows("quiet-river-7", "/ stopped")
	b.hides("wispy-frost-12")
	b.keys("esc", "/")
	b.types("!app")
	b.shows("old-cron-1")
	b.hides("wispy-frost-12")
	b.keys("esc", "/")
	b.types("no such machine")
	b.shows("No machine matches")
	b.keys("esc")
	b.shows("wispy-frost-12")
}

func TestMarkRange(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.keys("g", "space", "G", "ctrl+space")
	if visible, _ := b.fleet.marks(); len(visible) != 6 {
		t.Fatalf("marked %v, want every machine of the range that can take part", visible)
	}
	b.keys("esc")
	if visible, _ := b.fleet.marks(); len(visible) != 0 {
		t.Fatalf("marked %v after esc", visible)
	}
}

func TestMachinesThatNeverTakePartCannotBeMarked(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.keys("down", "space")
	b.shows("3d8d9a2c660118 is never part of a deploy: group cron runs no BEAM")
}

func TestMarksOfVanishedMachinesAreForgotten(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.keys("a")
	b.sees(1)
	if visible, hidden := b.fleet.marks(); len(b.fleet.marked) != 1 || len(visible) != 1 || len(hidden) != 0 {
		t.Fatalf("marks %v", b.fleet.marked)
	}
}

func TestInspectTellsTheDriftOfEachVM(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	_, cmd := b.Update(keyNamed("i"))
	b.shows("Asking every VM")
	if b.do("i") != nil {
		t.Fatal("the VMs are asked twice at the same time")
	}
	b.send(cmd())
	b.shows("Asked 5 VMs: 3 with other code than recorded", "✓ none", "! stale", "! 12 mod", "! host un", "! no hook")
	b.keys("/")
	b.types("stale")
	b.keys("enter", "enter")
	b.shows("! stale code", "has not loaded")
	b.keys("esc", "esc")
	o := tuitest.OverviewOf(6)
	for i := range o.Machines {
		o.Machines[i].InstanceID = "01K93QNEW"
	}
	b.send(overviewMsg{overview: o})
	b.hides("✓ none", "! stale", "! no hook")
}

func TestPreselect(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{App: "counter", Preselect: engine.Selection{Regions: []string{"fra"}}})
	b.sees(6)
	b.shows("2 marked")
}

func TestAFailedLookKeepsTheFleetOnTheScreen(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.send(overviewMsg{err: errors.New("list machines of counter: connection refused")})
	b.shows("wispy-frost-12", "connection refused")
}

func TestPlanIsConfirmedByItsKeyAlone(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(before, nil)
	b.keys("d")
	if len(p.Given()) != 0 {
		t.Fatal("the key that opens a deploy must not confirm it")
	}
	b.keys("D")
	if got := p.Given(); len(got) != 1 || !got[0].Proceed || got[0].To != engine.QuestionPlan {
		t.Fatalf("answers %+v, want one that proceeds with the plan", got)
	}
	b.hides("[ D Deploy ]")
}

func TestPlanFocusIsOnCancel(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(before, nil)
	b.keys("enter")
	b.shows("Nothing has been suspended yet", "Stop your deploy")
	b.keys("enter") // the focus is on Stay: a key pressed too often loses nothing
	b.shows("[ D Deploy ]")
	if len(p.Given()) != 0 || tuitest.Stopped(p) {
		t.Fatal("enter alone must neither confirm nor end the deploy")
	}
	b.keys("enter", "x")
	if !tuitest.Stopped(p) {
		t.Fatal("the deploy was not stopped")
	}
}

func TestPlanConfirmedByTheButton(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(before, nil)
	b.keys("tab", "enter")
	if got := p.Given(); len(got) != 1 || !got[0].Proceed {
		t.Fatalf("answers %+v, want one that proceeds", got)
	}
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(before, nil)
	b.keys("D")
	b.hides("[ D Deploy ]")
	b.pass(answerWithin + time.Second)
	b.shows("[ D Deploy ]")
}

func TestBlockersAreAcceptedByName(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(tuitest.Blocked(6, engine.SeverityBlock), nil)
	accept := func(name string) {
		b.keys("D")
		b.types(name)
		b.keys("tab", "enter")
	}
	accept("rollback_slo")
	if b.dialog == nil {
		t.Fatal("a wrong name must not close the dialog")
	}
	b.shows("Type exactly rollback_slow")
	b.keys("esc")
	accept("rollback_slow")
	b.shows("accepted rollback_slow")
	accept("migrations_added")
	if len(p.Given()) != 0 {
		t.Fatal("accepting is not confirming")
	}
	b.keys("G", "D")
	want := []string{"rollback_slow", "migrations_added"}
	if got := p.Given(); len(got) != 1 || !slices.Equal(got[0].Accept, want) {
		t.Fatalf("answers %+v, want acceptance of %v", got, want)
	}
}

func TestBlockersAcceptedOnTheCommandLineAreNotTypedAgain(t *testing.T) {
	o := offering(Options{App: "counter", Accept: []string{"rollback_slow", "migrations_added"}})
	b := newBench(t, size{120, 40}, o)
	p := b.deploys(tuitest.Blocked(6, engine.SeverityBlock), nil)
	b.shows("✓ accepted rollback_slow")
	b.hides("to accept by name")
	b.keys("G", "D")
	if len(p.Given()) != 1 || !p.Given()[0].Proceed {
		t.Fatalf("answers %+v, want the plan confirmed", p.Given())
	}
}

func TestAFleetWhoseRecordCannotBeReadClaimsNothing(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.hides("no hot upgrade yet", "image")
	o := tuitest.OverviewOf(6)
	o.Metadata, o.Storage = nil, &engine.Problem{What: "read the deployment metadata: 503 SlowDown"}
	b.send(overviewMsg{overview: o})
	b.shows("upgrade unknown", "? unknown", "! storage: read the deployment metadata")
	b.hides("no hot upgrade yet", "runs       image")
	b.keys("enter")
	b.shows("runs       ? unknown")
}

func TestRefusalsCannotBeAccepted(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(tuitest.Blocked(6, engine.SeverityRefuse), nil)
	b.keys("D", "tab", "enter")
	b.shows("rollback_slow cannot be accepted")
	if len(p.Given()) != 0 || b.dialog != nil {
		t.Fatal("a refusal can only be cancelled")
	}
}

func TestOverrideWantsTheAppsNameTyped(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(tuitest.Locked(), nil)
	b.shows("bob@ci-7", "11:58:00")
	b.keys("o", "enter") // the focus is on Cancel
	if b.dialog != nil || len(p.Given()) != 0 {
		t.Fatal("enter alone must not override")
	}
	b.keys("o")
	b.types("counte")
	b.keys("tab", "enter")
	if b.dialog == nil || len(p.Given()) != 0 {
		t.Fatal("a wrong name must not override")
	}
	b.keys("tab") // the focus goes round; what was typed stays
	b.types("r")
	b.keys("tab", "enter")
	got := p.Given()
	if len(got) != 1 || got[0].OverrideETag != `"etag-of-bob"` || !got[0].Proceed || got[0].To != engine.QuestionLock {
		t.Fatalf("answers %+v, want an override of exactly the lock that was shown", got)
	}
}

func TestWaitingForALockTriesAgainAndNeverOverrides(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(tuitest.Locked(), nil)
	b.keys("enter") // the focus is on Wait
	b.shows("Waits for the lock of bob@ci-7")
	for range 3 {
		b.pass(tryLockEvery)
	}
	got := p.Given()
	if len(got) != 3 {
		t.Fatalf("%d tries, want 3", len(got))
	}
	for _, a := range got {
		if a.OverrideETag != "" || !a.Proceed {
			t.Fatalf("answer %+v while waiting", a)
		}
	}
}

func TestTheLocksDialogGoesWithTheLock(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(tuitest.Locked(), nil)
	b.keys("o")
	s := tuitest.NewScript(6)
	s.Start()
	b.hears(s.Events, nil)
	if b.dialog != nil {
		t.Fatal("the question is gone, its dialog is not")
	}
}

func TestLeavingTheLock(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(tuitest.Locked(), nil)
	b.keys("l")
	if got := p.Given(); len(got) != 1 || got[0].Proceed {
		t.Fatalf("answers %+v, want one that leaves", got)
	}
}

func TestRule7LeavingAsks(t *testing.T) {
	before, after, end := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(before, nil)
	b.keys("ctrl+c")
	b.shows("Your deploy is still running", "Stay", "Nothing has been suspended yet")
	b.hides("detach")
	b.keys("enter") // the focus is on Stay
	if b.dialog != nil || tuitest.Stopped(p) {
		t.Fatal("enter alone must stay")
	}
	b.hears(after[:20], nil)
	b.keys("ctrl+c")
	b.shows("detach")
	b.keys("x")
	if !tuitest.Stopped(p) {
		t.Fatal("the deploy was not stopped")
	}
	b.shows("stopping")
	end.Outcome = engine.OutcomePartial
	b.hears(nil, &end)
	b.shows("partial")
}

func TestRule7SecondInterruptStopsAndLeavesOnceSettled(t *testing.T) {
	before, after, end := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(append(before, after[:20]...), nil)
	if msg := b.do("ctrl+c"); msg != nil {
		t.Fatalf("the first ctrl-c gave %T", msg)
	}
	if msg := b.do("ctrl+c"); msg != nil || !tuitest.Stopped(p) {
		t.Fatalf("the second ctrl-c gave %T, stopped: %v; it must stop, and wait until everything is settled", msg, tuitest.Stopped(p))
	}
	b.shows("ctrl-c again leaves within 8 s")
	if msg := b.do("ctrl+c"); msg != nil || !p.Hurried.Load() || b.dialog != nil {
		t.Fatalf("the third ctrl-c gave %T, hurried: %v; it must hurry the settling, and ask nothing", msg, p.Hurried.Load())
	}
	s := b.deploy.session
	s.result = &end
	_, cmd := b.Update(newsMsg{of: s, over: true})
	if cmd == nil {
		t.Fatal("the console stays after a stop by ctrl-c")
	}
	if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Fatal("the console stays after a stop by ctrl-c")
	}
	if e := b.ended(); e.Running != nil || e.Result == nil || e.Summary == "" {
		t.Fatalf("ended %+v, want the summary of the stopped deploy", e)
	}
}

func TestRule7Detach(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(append(before, after[:20]...), nil)
	b.keys("esc")
	if msg := b.do("b"); msg != (tea.QuitMsg{}) {
		t.Fatalf("detaching gave %T", msg)
	}
	e := b.ended()
	if e.Running != p || !e.Detached || e.Progress == nil || tuitest.Stopped(p) {
		t.Fatalf("ended %+v, want the deploy to go on", e)
	}
}

func TestRule8SummariesOfAllDeploysStay(t *testing.T) {
	before, after, end := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(append(before, after...), &end)
	b.keys("esc")
	if b.deploy != nil {
		t.Fatal("esc after the end leads back to the fleet")
	}
	before, after, end = tuitest.RolledBack(6)
	b.deploys(append(before, after...), &end)
	e := b.ended()
	if !strings.Contains(e.Summary, "succeeded") || !strings.Contains(e.Summary, "partial") || e.Result.Outcome != engine.OutcomePartial {
		t.Fatalf("ended with %+v", e)
	}
}

func TestRule14ACrashLeavesAndKeepsADeployGoing(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{80, 24}, Options{})
	b.deploys(append(before, after[:20]...), nil)
	b.deploy.board.rows[0].m = nil // a bug that View meets
	b.stale = true
	shown := b.console.View().Content
	if b.crash == nil {
		t.Fatal("View did not crash")
	}
	if b.console.View().Content != shown {
		t.Fatal("the picture changed after the crash")
	}
	if _, cmd := b.Update(tickMsg{at: b.now}); cmd == nil || cmd() != (tea.QuitMsg{}) {
		t.Fatal("the console goes on after a crash")
	}
	b.deploy.board.rows[0].m = b.deploy.progress.Machines[0]
	if e := b.ended(); !e.Detached || e.Running == nil {
		t.Fatalf("ended with %+v, want the deploy to go on: its plan is confirmed", e)
	}
}

func TestRule15ReadOnlyChangesNothing(t *testing.T) {
	var selected []engine.Selection
	o := deployRecorder(&selected)
	o.ReadOnly = true
	b := newBench(t, size{120, 40}, o)
	b.sees(6)
	b.shows("read-only")
	b.keys("space", "a")
	b.do("d")
	if len(selected) != 0 || len(b.fleet.marked) != 0 {
		t.Fatal("a read-only console changed something")
	}
	b.hides("deploy all", " mark")
	b.keys("?")
	b.hides("mark a range", "override", "confirm", "Plan", "other button")
}

func TestRule12TinyScreensTellTheStateAndConfirmNothing(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	b := newBench(t, size{30, 5}, Options{})
	p := b.deploys(before, nil)
	b.shows("Plan ready")
	b.keys("D", "tab", "enter", "d", "q")
	if len(p.Given()) != 0 {
		t.Fatal("a plan that cannot be seen was answered")
	}
	b.keys("ctrl+c")
	b.shows("Still running")
	b.keys("s")
	b.shows("Plan ready")
}

func TestADeployThatDoesNotStartTellsWhy(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{App: "counter", Backend: &tuitest.Backend{OnDeploy: func(engine.Request) (plain.Deployment, error) {
		return nil, engine.NewProblem("token", "no token for counter", nil, "Run fly auth login")
	}}})
	b.sees(6)
	b.send(b.begins("d"))
	b.shows("The deploy did not start", "no token for counter", "Run fly auth login")
	b.keys("enter")
	b.shows("wispy-frost-12")
}

func TestOrderFreezesWhileTheCursorMoves(t *testing.T) {
	s := tuitest.NewScript(6)
	s.Start()
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(s.Events, nil)
	b.keys("down")
	under := b.deploy.board.current()
	s.Events = nil
	s.Stage()
	s.Arm()
	s.Fail(5)
	b.hears(s.Events, nil)
	if first := b.deploy.board.rows[0]; first.s.Rank == view.RankFailed {
		t.Fatal("the order changed under a moving cursor")
	}
	b.pass(freezeOrder + time.Second)
	if first := b.deploy.board.rows[0]; first.s.Rank != view.RankFailed {
		t.Fatal("failures come first once the cursor rests")
	}
	if b.deploy.board.current() != under {
		t.Fatal("the cursor left its machine")
	}
}

func TestDetailsStayThoseOfTheirMachine(t *testing.T) {
	s := tuitest.NewScript(6)
	s.Start()
	s.Stage()
	s.Arm()
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(s.Events, nil)
	b.keys("enter")
	b.shows("machine " + s.Machines[0].ID)
	s.Events = nil
	s.Fail(5)
	b.hears(s.Events, nil)
	b.shows("machine " + s.Machines[0].ID)
	b.keys("esc", "g")
	if b.deploy.board.current().m.ID != s.Machines[5].ID {
		t.Fatal("failures come first")
	}
}

func TestDoneMachinesKeepTheirPlaceForAGrace(t *testing.T) {
	s := tuitest.NewScript(2)
	s.Start()
	s.Stage()
	s.Arm()
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(s.Events, nil)
	s.Events = nil
	s.Commit(0)
	b.hears(s.Events, nil)
	if first := b.deploy.board.rows[0].m.ID; first != s.Machines[0].ID {
		t.Fatal("a machine that has just ended lost its place at once")
	}
	b.pass(graceForDone + time.Second)
	if first := b.deploy.board.rows[0].m.ID; first != s.Machines[1].ID {
		t.Fatal("a machine that is done stays above one that is not")
	}
}

func TestAnOutcomeThatIsCutSaysSo(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
	end.Problem = &engine.Problem{What: strings.Repeat("what happened ", 16), Remedy: strings.Repeat("what to do ", 12)}
	b := newBench(t, size{60, 24}, Options{})
	b.deploys(append(before, after...), &end)
	b.fits()
	b.shows("what…")
}

func TestAMachineThatIsUpToDateWasNotUpgraded(t *testing.T) {
	s := tuitest.NewScript(2)
	s.Start()
	s.Stage()
	p := s.Plan()
	p.Machines[0].UpToDate = true
	s.Confirmed(p)
	s.Arm()
	s.Commit(1)
	for _, m := range s.Machines {
		s.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseCheck, Status: engine.StatusDone})
	}
	b := newBench(t, size{80, 24}, Options{})
	b.deploys(s.Events, nil)
	b.shows("✓ up to date   "+s.Machines[0].ID, "✓ upgraded     "+s.Machines[1].ID)
}

func TestAfterAStopNoMachineIsReady(t *testing.T) {
	for name, test := range map[string]struct {
		end  engine.Result
		word string
	}{
		"stopped": {engine.Result{Outcome: engine.OutcomeCancelled}, "aborted"},
		"dry run": {engine.Result{Outcome: engine.OutcomeSucceeded, DryRun: true, Plan: &engine.Plan{}}, "planned"},
	} {
		t.Run(name, func(t *testing.T) {
			before, _, _ := tuitest.Upgraded(6)
			b := newBench(t, size{80, 24}, Options{})
			b.deploys(before, nil)
			for _, m := range tuitest.NewScript(6).Machines {
				test.end.Machines = append(test.end.Machines, engine.MachineResult{ID: m.ID, Outcome: "aborted"})
			}
			b.hears(nil, &test.end)
			if test.end.DryRun {
				b.shows("deploy: planned in 0s, nothing was changed · 1–21 of 36 ↓ ─", "12,018 to suspend")
				b.keys("esc")
			}
			b.shows(test.word, "6 not upgraded of 6 machines")
			b.hides("○ staged", "ready", "█")
			if s := b.summaries[0]; !strings.Contains(s, test.word) {
				t.Errorf("the summary does not say %s:\n%s", test.word, s)
			}
		})
	}
}

// The order changes after the end, too: what stands under the cursor is what is painted there.
func TestTheGraceAfterTheEndIsPainted(t *testing.T) {
	before, after, end := tuitest.Upgraded(2)
	b := newBench(t, size{80, 24}, Options{})
	b.deploys(append(before, after...), &end)
	if !b.deploy.board.unsorted {
		t.Fatal("the machines have no grace")
	}
	b.View()
	b.pass(graceForDone + time.Second)
	if !b.stale || b.deploy.moves() {
		t.Fatalf("painted again: %v, goes on moving: %v", b.stale, b.deploy.moves())
	}
}

func TestMachinesWithoutAReleaseDoNotCount(t *testing.T) {
	s := tuitest.NewScript(3)
	s.Start()
	s.Emit(engine.Event{Machine: s.Machines[1].ID, Phase: engine.PhaseInject, Status: engine.StatusSkipped, Text: "runs no Elixir release"})
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(s.Events, nil)
	b.shows("2 waiting · 1 left out of 2 machines", "– left out")
}

func TestNothingUnreportedIsAnimated(t *testing.T) {
	s := tuitest.NewScript(1)
	s.Start()
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(s.Events, nil)
	one := b.text()
	for range spinnerFrames {
		b.pass(busyTick)
		for _, f := range spinnerFrames {
			b.hides(f)
		}
	}
	s.Events = nil
	s.Running(s.Machines[0].ID, engine.PhaseReload)
	b.hears(s.Events, nil)
	if b.text() == one {
		t.Fatal("a phase that was reported running does not show")
	}
	b.shows("running", "Reload")
}

func TestRule2PaintsOnlyAfterAChange(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.View()
	b.pass(idleTick)
	if b.stale {
		t.Fatal("a tick without news asks for a new picture")
	}
	before, _, _ := tuitest.Upgraded(6)
	b.deploys(before[:5], nil)
	b.View()
	b.deploy.session.events = before[5:8]
	b.send(newsMsg{of: b.deploy.session})
	if b.stale {
		t.Fatal("events paint at once instead of at the next tick")
	}
	b.pass(busyTick)
	if !b.stale {
		t.Fatal("the tick after events paints nothing")
	}
}

// A cold deploy has won over the record: no machine is told apart by an image that none of them runs any more.
func TestAColdDeployMakesTheRecordStale(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	o := tuitest.OverviewOf(6)
	o.Metadata = &engine.Metadata{ImageRef: "registry.fly.io/counter:deployment-01OLD", HotUpgrade: &engine.HotUpgrade{Version: "2.0.0"}}
	b.send(overviewMsg{overview: o})
	b.shows("record stale: deployed cold since")
	b.hides("hot 2.0.0")
	for _, m := range o.Machines {
		if drift := b.fleet.Drift(m).Text; strings.Contains(drift, "another image") {
			t.Errorf("machine %s: %s", m.ID, drift)
		}
	}
	o.Metadata.ImageRef = o.Machines[0].Image
	b.send(overviewMsg{overview: o})
	b.hides("record stale")
}

func TestATinyWindowDoesNotQuitWhileAFilterIsTyped(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{})
	b.sees(6)
	b.keys("/", "a")
	b.send(tea.WindowSizeMsg{Width: 30, Height: 5})
	if _, cmd := b.Update(keyNamed("q")); cmd != nil {
		t.Fatal("a letter of the filter quits")
	}
	b.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	b.keys("esc")
	b.send(tea.WindowSizeMsg{Width: 30, Height: 5})
	if _, cmd := b.Update(keyNamed("q")); cmd == nil {
		t.Fatal("q does not quit a tiny window")
	}
}

func TestStepsThatWillNotComeAreSkipped(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(append(before, after...), nil)
	b.shows("· Verify")
	b.hears(nil, &end)
	b.shows("– Verify", "– Metadata")
}
