package plain_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

func TestPlain(t *testing.T) {
	for name, script := range map[string]func(int) ([]engine.Event, []engine.Event, engine.Result){
		"upgraded": tuitest.Upgraded, "rolled_back": tuitest.RolledBack, "watched": func(n int) (before, after []engine.Event, end engine.Result) {
			before, watching, ended, end := tuitest.Watched(n)
			return before, append(watching, ended...), end
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			d := tuitest.Confirmed(script(3))
			err := plain.Lines(t.Context(), &out, d, nil)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString("\n" + plain.Summary(d.Result()))
			if strings.ContainsRune(out.String(), '\x1b') {
				t.Fatal("plain output holds escapes")
			}
			golden.RequireEqual(t, out.String())
		})
	}
}

func TestRule16PlainSaysEachChangeOnce(t *testing.T) {
	before, after, end := tuitest.Upgraded(2)
	var twice []engine.Event
	for _, e := range append(before, after...) {
		twice = append(twice, e)
		if e.Log == "" {
			twice = append(twice, e)
		}
	}
	once, doubled := plainOf(t, tuitest.Confirmed(before, after, end)), plainOf(t, tuitest.Confirmed(twice, nil, end))
	if once != doubled {
		t.Fatalf("an event that comes twice is told twice:\n%s", doubled)
	}
}

func plainOf(t *testing.T, d plain.Deployment) string {
	t.Helper()
	var out bytes.Buffer
	if err := plain.Lines(t.Context(), &out, d, nil); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRule16PlainTellsTheFindings(t *testing.T) {
	out := plainOf(t, tuitest.Confirmed(tuitest.Blocked(2, engine.SeverityBlock), nil, engine.Result{}))
	want := "[7/12] fleet Plan | block rollback_slow: taking this upgrade back would suspend processes for about 5.6 s" +
		" -> Deploy at a quiet time, or deploy cold: fly deploy (2 machines: 148e00016c0000, 148e00026c1eef)\n"
	if !strings.Contains(out, want) {
		t.Errorf("no line %q in\n%s", want, out)
	}
}

// A slow reader sees the question and its answer as one event: the feed carries the plan over.
func TestPlainTellsThePlanOfMergedEvents(t *testing.T) {
	before, after, end := tuitest.Upgraded(2)
	merged := after[0]
	merged.Plan, after[0].Plan = before[len(before)-1].Plan, nil
	out := plainOf(t, tuitest.Confirmed(before[:len(before)-1], append([]engine.Event{merged}, after[1:]...), end))
	for _, want := range []string{
		"| changed 3 modules of counter: Counter.Server, Counter.Gate, Counter.Render\n",
		"| added 1 module of counter: Counter.History\n",
		"| suspends 4,000 processes of Counter.Server (gen_server) on 2 machines\n",
		"| warn statem_changed: Counter.Gate is a gen_statem",
		"-> Check that Counter.Gate.callback_mode/0 gives the same in both versions.",
		"| left out 3d8d9a2c660118: group cron runs no BEAM\n",
	} {
		if strings.Count(out, want) != 1 {
			t.Errorf("not once: %q in\n%s", want, out)
		}
	}
}

// The plan of a large fleet comes in parts, in batches of their own: it is told once, with all machines.
func TestPlainTellsAPlanInParts(t *testing.T) {
	before, after, end := tuitest.Upgraded(300)
	var events []engine.Event
	parts := 0
	for _, e := range append(before, after...) {
		in := e.InParts(10_000)
		parts = max(parts, len(in))
		events = append(events, in...)
	}
	for i := range events {
		events[i].Seq = int64(i + 1)
	}
	out := plainOf(t, tuitest.Confirmed(events, nil, end)) // one event at a time
	if parts < 5 || strings.Count(out, " | suspends 600,000 processes of Counter.Server (gen_server) on 300 machines\n") != 1 {
		t.Errorf("%d parts, told:\n%.4000s", parts, out)
	}
}

func TestPlainGoesOnAfterAConsole(t *testing.T) {
	before, after, end := tuitest.Upgraded(3)
	p := engine.NewProgress()
	for _, e := range before {
		p.Apply(e)
	}
	var out bytes.Buffer
	if err := plain.Lines(t.Context(), &out, tuitest.Confirmed(after, nil, end), p); err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(out.String(), "\n")
	if !strings.HasPrefix(first, "[7/12] fleet Plan done") {
		t.Fatalf("the first line is %q", first)
	}
	if !strings.Contains(out.String(), "[3/3] ") {
		t.Fatalf("machines lost their numbers:\n%s", out.String())
	}
}

func TestPlainStopsWhenItsContextEnds(t *testing.T) {
	before, after, end := tuitest.Upgraded(1)
	d := tuitest.Play(before, after, end)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := plain.Lines(ctx, &bytes.Buffer{}, d, nil); err != nil {
		t.Fatal(err)
	}
	if !tuitest.Stopped(d) {
		t.Fatal("the deploy was not stopped")
	}
}

type brokenPipe struct{ left int }

func (b *brokenPipe) Write(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, errors.New("broken pipe")
	}
	return len(p), nil
}

func TestABrokenPipeStopsTheDeployAndWaitsForItsEnd(t *testing.T) {
	for name, render := range map[string]func(d plain.Deployment) error{
		"plain": func(d plain.Deployment) error { return plain.Lines(t.Context(), &brokenPipe{3}, d, nil) },
		"json":  func(d plain.Deployment) error { return plain.JSON(t.Context(), &brokenPipe{3}, d) },
		"accessible": func(d plain.Deployment) error {
			in, typed := io.Pipe() // whose end never comes
			defer typed.Close()
			app := &tuitest.Backend{OnDeploy: func(engine.Request) (plain.Deployment, error) { return d, nil }}
			_, err := plain.Accessible(t.Context(), plain.Options{App: "counter", StartDeploy: true, Backend: app, Input: in, Output: &brokenPipe{3}})
			return err
		},
	} {
		d := tuitest.Confirmed(tuitest.Upgraded(2))
		if err := render(d); err == nil || !strings.Contains(err.Error(), "broken pipe") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line", name, err)
		}
		if !tuitest.Stopped(d) || len(d.Before) != 0 {
			t.Errorf("%s: stopped %v, %d events not read", name, tuitest.Stopped(d), len(d.Before))
		}
	}
}

// Nobody can answer what nobody could read.
func TestABrokenPipeEndsTheConversation(t *testing.T) {
	in, typed := io.Pipe()
	defer typed.Close()
	_, err := plain.Accessible(t.Context(), plain.Options{App: "counter", Backend: &tuitest.Backend{}, Input: in, Output: &brokenPipe{2}})
	if err == nil || !strings.Contains(err.Error(), "broken pipe") {
		t.Errorf("error %v", err)
	}
}

// A slow reader gets many events at once. They are told in the order in which they happened.
func TestEventsAreToldInTheirOrder(t *testing.T) {
	before, after, end := tuitest.Upgraded(3)
	d := tuitest.Confirmed(before, after, end)
	want := plainOf(t, d)
	events := slices.Concat(before, after)
	slices.SortStableFunc(events, func(a, b engine.Event) int { return len(b.Log) - len(a.Log) })
	mixed := tuitest.Confirmed(events, nil, end)
	mixed.Batch = len(events)
	if got := plainOf(t, mixed); got != want {
		t.Errorf("out of order:\n%s", got)
	}
	mixed = tuitest.Confirmed(events, nil, end)
	mixed.Batch = len(events)
	var out bytes.Buffer
	if err := plain.JSON(t.Context(), &out, mixed); err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for line := range strings.Lines(out.String()) {
		var e engine.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seq <= last {
			t.Fatalf("event %d after %d, %v", e.Seq, last, err)
		}
		last = e.Seq
	}
}

func TestJSONIsTheEvents(t *testing.T) {
	before, after, end := tuitest.RolledBack(2)
	want := append(append([]engine.Event{}, before...), after...)
	var out bytes.Buffer
	if err := plain.JSON(t.Context(), &out, tuitest.Confirmed(before, after, end)); err != nil {
		t.Fatal(err)
	}
	golden.RequireEqual(t, out.String())
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 1<<20)
	for i := 0; lines.Scan(); i++ {
		var got engine.Event
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
		if !reflect.DeepEqual(got, want[i]) {
			t.Fatalf("line %d is\n%+v\nwant\n%+v", i, got, want[i])
		}
	}
}

// merging is a deploy whose reader gets the last state of each phase only, as a slow one does; the record has all events.
type merging struct {
	*tuitest.Player
	all []engine.Event
}

func (m merging) Recorded() engine.Source { return tuitest.PlayRecorded(m.all) }

func TestJSONHoldsEveryEvent(t *testing.T) {
	before, after, end := tuitest.Upgraded(2)
	all := slices.Concat(before, after)
	var out bytes.Buffer
	if err := plain.JSON(t.Context(), &out, merging{tuitest.Confirmed(all[:3], nil, end), all}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != len(all) {
		t.Errorf("%d lines of %d events", n, len(all))
	}
}

func TestSummaryOfDeploysWithoutMachines(t *testing.T) {
	for _, o := range []engine.Outcome{engine.OutcomeFailed, engine.OutcomeLocked, engine.OutcomeCancelled, engine.OutcomeBlocked} {
		got := plain.Summary(engine.Result{Outcome: o, DurationMS: 1200, Problem: &engine.Problem{What: "what\nhappened", Remedy: "do this\ndo that"}})
		for _, part := range []string{string(o), "what happened", "-> do this", "-> do that"} {
			if !strings.Contains(got, part) {
				t.Errorf("%s: no %q in\n%s", o, part, got)
			}
		}
	}
}

func TestMain(m *testing.M) {
	time.Local = time.UTC // lines tell times of day
	os.Exit(m.Run())
}
