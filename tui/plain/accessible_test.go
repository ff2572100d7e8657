package plain_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

const within = 20 * time.Second

// talk is a conversation with the accessible console: what it wrote, and an input that is typed into.
type talk struct {
	t     *testing.T
	typed io.WriteCloser
	ended chan struct{}
	end   *engine.Result
	app   string
	err   error

	mu      sync.Mutex
	written bytes.Buffer
	more    chan struct{}
}

func (w *talk) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return w.written.Write(p)
}

func (w *talk) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.String()
}

func talkTo(ctx context.Context, t *testing.T, o plain.Options) *talk {
	in, typed := io.Pipe()
	return talkBy(ctx, t, o, in, typed)
}

func talkBy(ctx context.Context, t *testing.T, o plain.Options, in io.Reader, typed io.WriteCloser) *talk {
	w := &talk{t: t, typed: typed, ended: make(chan struct{}), more: make(chan struct{}, 1)}
	o.Input, o.Output = in, w
	go func() {
		defer close(w.ended)
		var end plain.Ended
		end, w.err = plain.Accessible(ctx, o)
		w.end, w.app = end.Result, end.App
	}()
	t.Cleanup(func() { _ = typed.Close(); <-w.ended })
	return w
}

// hears waits until something was written n times.
func (w *talk) hears(n int, text string) {
	w.t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for strings.Count(w.text(), text) < n {
		select {
		case <-w.more:
		case <-deadline.C:
			w.t.Fatalf("never heard %q %d times:\n%s", text, n, w.text())
		}
	}
}

func (w *talk) says(line string) {
	w.t.Helper()
	if _, err := io.WriteString(w.typed, line+"\n"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *talk) over() {
	w.t.Helper()
	select {
	case <-w.ended:
	case <-time.After(within):
		w.t.Fatalf("it does not end:\n%s", w.text())
	}
	if strings.ContainsAny(w.text(), "\x1b\r\x08│─╭█⠋") {
		w.t.Fatalf("escapes, borders or spinners:\n%q", w.text())
	}
}

// talkative is on an app with six machines.
func talkative() plain.Options { return plain.Options{App: "counter", Backend: &tuitest.Backend{}} }

func TestRule17AccessibleIsPlainLinesAndNumberedChoices(t *testing.T) {
	var deployed []engine.Selection
	o := talkative()
	o.Backend.(*tuitest.Backend).OnOverview = func(context.Context) (engine.Overview, error) {
		seen := tuitest.OverviewOf(6)
		seen.Metadata.HotUpgrade.DeployedAt = time.Now().Add(-90 * time.Minute)
		return seen, nil
	}
	o.Backend.(*tuitest.Backend).OnDeploy = func(r engine.Request) (plain.Deployment, error) {
		deployed = append(deployed, r.Select)
		p := tuitest.Play(tuitest.Upgraded(6))
		p.Batch = 1
		return p, nil
	}
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 7):")
	w.says("seven")
	w.hears(1, "Please type a number from 1 to 7, or the first word of a choice.")
	w.says("3")
	w.hears(1, "Numbers of the machines")
	w.says("1 4 1")
	w.hears(1, "Choice (1 to 5):")
	w.says("begin")
	w.hears(1, "Choice (1 to 4):")
	w.says("y")
	w.hears(1, "Please type a number from 1 to 4:")
	w.says("2")
	w.hears(1, "succeeded, 6 of 6 machines run it")
	w.hears(3, "Choice (1 to 7):")
	w.says("4")
	w.hears(1, "Number of a deploy to read")
	w.says("2")
	w.hears(4, "Choice (1 to 7):")
	w.says("7")
	w.over()
	if w.err != nil || w.end == nil || len(deployed) != 1 || len(deployed[0].Machines) != 2 {
		t.Fatalf("ended with %+v, %v; deployed %+v", w.end, w.err, deployed)
	}
	golden.RequireEqual(t, w.text())
}

func TestRule17AccessibleBlockersAndLock(t *testing.T) {
	asking := func(events []engine.Event) (plain.Options, *tuitest.Player) {
		p := tuitest.Play(events, nil, engine.Result{Outcome: engine.OutcomeCancelled})
		return plain.Options{
			App: "counter", StartDeploy: true, Backend: &tuitest.Backend{OnDeploy: func(engine.Request) (plain.Deployment, error) { return p, nil }},
		}, p
	}
	o, p := asking(tuitest.Blocked(6, engine.SeverityBlock))
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 4):")
	w.says("2")
	w.hears(1, "Type rollback_slow to accept it")
	w.says("rollback")
	w.hears(2, "Choice (1 to 4):")
	if len(p.Given()) != 0 {
		t.Fatal("a wrong name confirmed the plan")
	}
	w.says("2")
	w.hears(2, "Type rollback_slow to accept it")
	w.says("rollback_slow")
	w.hears(1, "Type migrations_added to accept it")
	w.says("migrations_added")
	w.over()
	if got := p.Given(); len(got) != 1 || !got[0].Proceed || len(got[0].Accept) != 2 {
		t.Fatalf("answers %+v", got)
	}

	o, p = asking(tuitest.Locked())
	w = talkTo(t.Context(), t, o)
	w.hears(1, "Its owner: no sign of life for ")
	w.hears(1, "Choice (1 to 3):")
	w.says("3")
	w.hears(1, "Type counter to override")
	w.says("")
	w.hears(1, "Not overridden")
	w.says("3")
	w.hears(2, "Type counter to override")
	w.says("counter")
	w.over()
	if got := p.Given(); len(got) != 1 || got[0].OverrideETag != `"etag-of-bob"` {
		t.Fatalf("answers %+v", got)
	}
}

func TestAccessibleBlockersAcceptedOnTheCommandLineAreNotTypedAgain(t *testing.T) {
	p := tuitest.Play(tuitest.Blocked(6, engine.SeverityBlock), nil, engine.Result{Outcome: engine.OutcomeCancelled})
	w := talkTo(t.Context(), t, plain.Options{
		App: "counter", Accept: []string{"rollback_slow"}, StartDeploy: true,
		Backend: &tuitest.Backend{OnDeploy: func(engine.Request) (plain.Deployment, error) { return p, nil }},
	})
	w.hears(1, "Choice (1 to 4):")
	w.says("2")
	w.hears(1, "Type migrations_added to accept it")
	w.says("migrations_added")
	w.over()
	if len(p.Given()) != 1 || !p.Given()[0].Proceed {
		t.Fatalf("answers %+v, want the plan confirmed", p.Given())
	}
}

func TestRule17AccessibleEndOfInputDeclines(t *testing.T) {
	before, after, end := tuitest.Upgraded(1)
	p := tuitest.Play(before, after, end)
	w := talkTo(t.Context(), t, plain.Options{App: "counter", StartDeploy: true, Backend: &tuitest.Backend{OnDeploy: func(engine.Request) (plain.Deployment, error) { return p, nil }}})
	w.hears(1, "Choice (1 to 4):")
	_ = w.typed.Close()
	w.over()
	if got := p.Given(); len(got) != 1 || got[0].Proceed {
		t.Fatalf("answers %+v, want one that declines", got)
	}
}

// late is a deploy of which nothing comes before the whole input was read.
type late struct {
	*tuitest.Player
	read chan struct{}
}

func (l late) Next(ctx context.Context) ([]engine.Event, error) { <-l.read; return l.Player.Next(ctx) }

type endOfInput struct{ read chan struct{} }

func (e endOfInput) Read([]byte) (int, error) { close(e.read); return 0, io.EOF }

func TestRule17AccessibleWithoutInputDeclines(t *testing.T) {
	before, after, end := tuitest.Upgraded(1)
	p := tuitest.Play(before, after, end)
	var out bytes.Buffer
	read := make(chan struct{})
	o := plain.Options{App: "counter", StartDeploy: true, Backend: &tuitest.Backend{OnDeploy: func(engine.Request) (plain.Deployment, error) { return late{p, read}, nil }}}
	o.Input, o.Output = io.MultiReader(strings.NewReader("2\n2\n"), endOfInput{read}), &out // typed before anything was asked
	if _, err := plain.Accessible(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := p.Given(); len(got) != 1 || got[0].Proceed {
		t.Fatalf("answers %+v, want one that declines", got)
	}
}

func TestRule17AccessibleStopsWhenItsContextEnds(t *testing.T) {
	before, after, end := tuitest.Upgraded(1)
	p := tuitest.Play(before, after, end)
	ctx, cancel := context.WithCancel(t.Context())
	w := talkTo(ctx, t, plain.Options{App: "counter", StartDeploy: true, Backend: &tuitest.Backend{OnDeploy: func(engine.Request) (plain.Deployment, error) { return p, nil }}})
	w.hears(1, "Choice (1 to 4):")
	cancel()
	w.over()
	if !tuitest.Stopped(p) || !errors.Is(w.err, context.Canceled) || w.end == nil {
		t.Fatalf("stopped %v, error %v, ended with %+v", tuitest.Stopped(p), w.err, w.end)
	}
}

func TestRule15AccessibleReadOnly(t *testing.T) {
	o := talkative()
	o.ReadOnly = true
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 5):")
	w.says("5")
	w.over()
	if text := w.text(); strings.Contains(text, "Deploy to") || !strings.Contains(text, "counter, fleet, read-only\n") {
		t.Fatalf("a read-only console offers to deploy, or does not say what it is:\n%s", w.text())
	}
}

// What is not well is asked in numbers too.
func TestTheWayOnIsANumber(t *testing.T) {
	o := talkative()
	var played *tuitest.Player
	o.Backend.(*tuitest.Backend).OnDeploy = func(engine.Request) (plain.Deployment, error) {
		s := tuitest.NewScript(2)
		s.Start()
		s.Stage()
		s.Confirmed(s.Plan())
		s.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Asks: engine.QuestionSick,
			Ways:    []engine.Way{engine.WayStop, engine.WayBack, engine.WayContinue},
			Problem: engine.NewProblem("unhealthy", "0.2.0 runs on 1 of 2 machines, and is not well: 3 crashes of Shop.Cart", nil, "")})
		played = tuitest.Play(s.Events, nil, engine.Result{Outcome: engine.OutcomeUnhealthy})
		return played, nil
	}
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 7):")
	w.says("2")
	w.hears(1, "Choice (1 to 5):")
	w.says("begin")
	w.hears(1, "0.2.0 runs on 1 of 2 machines, and is not well: 3 crashes of Shop.Cart.")
	w.hears(1, "2. Take it back from the machines that took it")
	w.says("4")
	w.hears(1, "Please type a number from 1 to 3:")
	w.says("2")
	w.hears(1, "after 0s")
	if got := played.Given(); len(got) != 1 || got[0].To != engine.QuestionSick || got[0].Way != engine.WayBack {
		t.Errorf("answers %+v", got)
	}
	w.hears(2, "Choice (1 to 7):")
	w.says("7")
	w.over()
}

// A wave that waits for a key says so in words, and a held watch how it goes on.
func TestAccessiblePauses(t *testing.T) {
	o := talkative()
	var played *tuitest.Player
	pauses := false
	o.Backend.(*tuitest.Backend).OnDeploy = func(engine.Request) (plain.Deployment, error) {
		s := tuitest.NewScript(2)
		s.Start()
		s.Stage()
		p := s.Plan()
		p.Waits = true
		s.Confirmed(p)
		watch := engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Asks: engine.QuestionWatch}
		if pauses {
			watch.Ways = []engine.Way{engine.WayPromote}
		}
		s.Emit(watch)
		played, pauses = tuitest.Play(s.Events, nil, engine.Result{Outcome: engine.OutcomeCancelled}), true
		return played, nil
	}
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 7):")
	w.says("2")
	w.hears(1, "Choice (1 to 5):")
	w.says("begin")
	w.hears(1, "After that, the next wave waits until you go on.")
	w.hears(1, "Choice (1 or 2), or wait:")
	w.says("2")
	w.hears(1, "Held: it is watched until you go on. 1 goes on:")
	w.hears(2, "Choice (1 to 7):")
	if got := played.Given(); len(got) != 1 || got[0].Way != engine.WayHold {
		t.Errorf("answers %+v", got)
	}
	w.says("2")
	w.hears(2, "Choice (1 to 5):")
	w.says("begin")
	w.hears(1, "The next wave waits until you go on: after at most 55 minutes the deploy ends here.")
	w.hears(1, "Choice (1):")
	w.says("2")
	w.hears(1, "Please type 1 to go on:")
	w.says("1")
	w.hears(1, "Going on as soon as")
	w.hears(3, "Choice (1 to 7):")
	if got := played.Given(); len(got) != 1 || got[0].Way != engine.WayPromote {
		t.Errorf("answers %+v", got)
	}
	w.says("7")
	w.over()
}

func TestAccessibleColdWay(t *testing.T) {
	events := tuitest.Blocked(6, engine.SeverityBlock)
	for i, e := range events {
		if e.Plan != nil {
			p := *e.Plan
			p.MayGoCold = true
			p.Findings = append(slices.Clone(p.Findings), engine.Finding{Name: "taken_back", Severity: engine.SeverityBlock, What: "2.0.0 crashed"})
			events[i].Plan = &p
		}
	}
	p := tuitest.Play(events, nil, engine.Result{Outcome: engine.OutcomeSucceeded, Cold: true})
	o := talkative()
	o.StartDeploy = true
	o.Backend.(*tuitest.Backend).OnDeploy = func(engine.Request) (plain.Deployment, error) { return p, nil }
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 5):")
	w.says("6")
	w.hears(1, "Please type a number from 1 to 5:")
	w.says("4")
	w.hears(2, "The plan. Nothing has been suspended yet.")
	w.hears(2, "Choice (1 to 5):")
	w.says("5")
	w.hears(1, "A cold deploy does not cure taken_back, which you accept along with it: 2.0.0 crashed")
	w.hears(1, "Type counter to restart all machines")
	w.says("shop")
	w.hears(3, "Choice (1 to 5):")
	w.says("5")
	w.hears(2, "Type counter to restart all machines")
	w.says("counter")
	w.over()
	if got := p.Given(); len(got) != 1 || got[0].To != engine.QuestionPlan || got[0].Way != engine.WayCold || !slices.Equal(got[0].Accept, []string{"taken_back"}) {
		t.Errorf("answers %+v", got)
	}
}

// What is on trial is confirmed, or taken back, by number, once somebody says so again.
func TestAccessibleTrial(t *testing.T) {
	until := engine.MachineTrial{ID: "01K", Until: time.Now().Add(10 * time.Minute)}
	seen := tuitest.OverviewOf(2)
	seen.Trial = &engine.Trial{ID: "01K", Version: "0.3.0", SHA256: "abc", Machines: map[string]engine.MachineTrial{"148e00016c0000": until}}
	for number, how := range map[string]engine.TrialEnd{"4": engine.TrialConfirmed, "5": engine.TrialTakenBack} {
		t.Run(string(how), func(t *testing.T) {
			var asked []engine.Request
			o := talkative()
			b := o.Backend.(*tuitest.Backend)
			b.OnOverview = func(context.Context) (engine.Overview, error) { return seen, nil }
			b.OnDeploy = func(r engine.Request) (plain.Deployment, error) {
				asked = append(asked, r)
				return tuitest.Confirmed(nil, nil, engine.Result{Outcome: engine.OutcomeSucceeded, TrialEnd: how}), nil
			}
			w := talkTo(t.Context(), t, o)
			w.hears(1, "4. Confirm 0.3.0, which is on trial\n5. Take 0.3.0 back, which is on trial\n")
			w.says(number)
			w.hears(1, "0.3.0 is on trial on 1 machine until "+until.Until.Local().Format("15:04")+", not confirmed.\n1 machine: 148e00016c0000.\n")
			w.hears(1, "Choice (1 to 2):")
			w.says("1")
			w.hears(2, "Choice (1 to 9):")
			if len(asked) > 0 {
				t.Fatalf("it was ended without a word: %v", asked)
			}
			w.says(number)
			w.hears(2, "Choice (1 to 2):")
			w.says("2")
			w.hears(3, "Choice (1 to 9):")
			w.says("9")
			w.over()
			if len(asked) != 1 || asked[0].EndTrial != how || asked[0].Meant != "01K" {
				t.Errorf("asked for %+v", asked)
			}
		})
	}
	o := talkative()
	o.ReadOnly, o.Backend.(*tuitest.Backend).OnOverview = true, func(context.Context) (engine.Overview, error) { return seen, nil }
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 5):")
	w.says("5")
	w.over()
	if strings.Contains(w.text(), "which is on trial") {
		t.Errorf("it is offered to who may change nothing:\n%s", w.text())
	}
}
