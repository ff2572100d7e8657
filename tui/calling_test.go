package tui

import (
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

func TestTheWindowTellsWhatHappens(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{})
	shows := func(title string, bar *tea.ProgressBar) {
		t.Helper()
		v := b.View()
		if v.WindowTitle != title || (v.ProgressBar == nil) != (bar == nil) || bar != nil && *v.ProgressBar != *bar {
			t.Errorf("%q %+v, want %q %+v", v.WindowTitle, v.ProgressBar, title, bar)
		}
	}
	b.sees(3)
	shows("counter · flydeploy", nil)

	s := tuitest.NewScript(3)
	told := 0
	hears := func() {
		b.deploys(s.Events[told:], nil)
		told = len(s.Events)
	}
	s.Start()
	s.Stage()
	hears()
	shows("preparing · counter · flydeploy", tea.NewProgressBar(tea.ProgressBarIndeterminate, 0))
	p := s.Plan()
	s.Emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusRunning, Plan: p, Upgrade: &engine.Upgrade{Version: "0.2.0"}})
	hears()
	shows("the plan waits · 0.2.0 · counter · flydeploy", tea.NewProgressBar(tea.ProgressBarWarning, 1))
	s.Confirmed(s.Plan())
	s.Arm()
	s.Commit(0)
	hears()
	b.deploys([]engine.Event{{Machine: s.Machines[0].ID, Attempt: 1, Phase: engine.PhaseCheck, Status: engine.StatusDone, State: engine.MachineVerified, Seq: int64(told + 1)}}, nil)
	shows("1/3 · 0.2.0 · counter · flydeploy", tea.NewProgressBar(tea.ProgressBarDefault, 33))
	b.hears(nil, &engine.Result{Outcome: engine.OutcomeUnhealthy, Upgrade: engine.Upgrade{Version: "0.2.0"}})
	shows("unhealthy · 0.2.0 · counter · flydeploy", tea.NewProgressBar(tea.ProgressBarError, 33))
}

// The terminal is asked to call an operator who looks elsewhere, once for each thing.
func TestTheOperatorIsCalled(t *testing.T) {
	plan := func(b *bench) string {
		s := tuitest.NewScript(3)
		s.Start()
		s.Stage()
		s.Emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusRunning, Plan: s.Plan()})
		b.startDeploy(engine.Selection{})
		b.deploy.session.follow(tuitest.Play(nil, nil, engine.Result{}))
		b.deploy.session.events = s.Events
		b.dispatch(newsMsg{of: b.deploy.session})
		return called(b.call())
	}
	const bell = "\a\x1b]9;counter: the plan waits\x1b\\"
	for name, test := range map[string]struct {
		prepare func(*bench)
		want    string
	}{
		"looks here":                         {func(b *bench) { b.send(tea.FocusMsg{}); b.pass(time.Hour) }, ""},
		"looks elsewhere":                    {func(b *bench) { b.send(tea.FocusMsg{}, tea.BlurMsg{}) }, bell},
		"nothing is known, a key just now":   {func(b *bench) { b.keys("j") }, ""},
		"nothing is known, no key for long":  {func(b *bench) { b.keys("j"); b.pass(2 * time.Minute) }, bell},
		"the bell is off":                    {func(b *bench) { b.opts.NoBell = true; b.send(tea.BlurMsg{}) }, ""},
		"a terminal with another sequence":   {func(b *bench) { b.opts.Environ = []string{"TERM=foot"}; b.send(tea.BlurMsg{}) }, "\a\x1b]777;notify;flydeploy;counter: the plan waits\x1b\\"},
		"a name that would end the sequence": {func(b *bench) { b.opts.App = "a;b\x1b\\c\a"; b.send(tea.BlurMsg{}) }, "\a\x1b]9;a,bc: the plan waits\x1b\\"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, size{80, 24}, Options{})
			test.prepare(b)
			if got := plan(b); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if got := called(b.call()); got != "" {
				t.Errorf("again: %q", got)
			}
		})
	}
}

// called is what a command writes to the terminal.
func called(cmd tea.Cmd) string {
	if cmd == nil {
		return ""
	}
	raw, _ := cmd().(tea.RawMsg)
	text, _ := raw.Msg.(string)
	return text
}

// What the program writes: title, progress and calls, and that nothing of it stays.
func TestProgramCallsTheOperator(t *testing.T) {
	r := runOn(t.Context(), newTerminal(t, size{120, 40}), playing(6, tuitest.Upgraded))
	r.waitFor("wispy-frost-12")
	r.until("the title", func() bool { return r.has("\x1b]2;counter · flydeploy\a") })
	r.press("\x1b[O") // the focus goes elsewhere
	r.press("d")
	r.waitFor("Enter begins")
	r.press("\r")
	r.until("the call for the plan", func() bool { return r.has("\a\x1b]9;counter: the plan waits\x1b\\") })
	r.until("its title and progress", func() bool {
		return r.has("\x1b]2;the plan waits · 0.2.0 · counter · flydeploy\a") && r.has("\x1b]9;4;4;1\a")
	})
	r.press("\x1b[I") // and comes back
	r.press("D")
	r.until("the end", func() bool { return r.has("\x1b]2;succeeded · 0.2.0 · counter · flydeploy\a") })
	if r.has("counter: succeeded") {
		t.Error("an operator who looks at the end was called")
	}
	r.press("\x1b")
	r.waitFor("no deploy under way")
	r.press("q")
	r.over()
	r.until("title and progress taken back", func() bool { return r.has("\x1b]2;\a") && r.has("\x1b]9;4;0\a") })
}
