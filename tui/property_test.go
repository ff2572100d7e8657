package tui

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// TestRule12EveryScreenAtRandomSizes walks through random sizes, keys and events. Whatever comes: no panic, no line
// wider than the screen, nothing blank.
func TestRule12EveryScreenAtRandomSizes(t *testing.T) {
	walks := uint64(12) // with the race detector they take long
	if os.Getenv("FLYDEPLOY_SOAK") != "" {
		walks = 200
	}
	for seed := range walks {
		walk(t, rand.New(rand.NewPCG(seed, 7)))
	}
}

var walkKeys = []string{
	"enter", "esc", "tab", "shift+tab", "space", "ctrl+space", "ctrl+c", "up", "down", "pgup", "pgdown", "left", "right", "backspace",
	"h", "j", "k", "l", "g", "G", "a", "d", "D", "y", "o", "r", "p", "L", "F", "S", "M", "N", "T", ":", "i", "+", "-", ".", "q", "w", "l", "s", "x", "v", "i", "c", "f", "/", "?", "!", "東", "1",
}

func walk(t *testing.T, r *rand.Rand) {
	n := []int{0, 1, 2, 6, 40}[r.IntN(5)]
	b := newBench(t, randomSize(r), offering(Options{
		App: "counter", ASCII: r.IntN(2) == 0, Theme: []string{"dark", "light", ""}[r.IntN(3)], ReadOnly: r.IntN(8) == 0, Dir: t.TempDir(),
	}))
	events, end := randomDeploy(r, max(n, 1))
	for range 80 {
		switch r.IntN(8) {
		case 0:
			s := randomSize(r)
			b.send(tea.WindowSizeMsg{Width: s.w, Height: s.h})
		case 1:
			b.sees(n)
		case 2:
			if b.deploy == nil {
				b.deploys(nil, nil)
			}
			some := min(r.IntN(12), len(events))
			b.hears(events[:some], nil)
			if events = events[some:]; len(events) == 0 {
				b.hears(nil, &end)
			}
		case 3:
			b.reads(r, max(n, 1))
		case 4:
			b.pass(time.Duration(r.IntN(5000)) * time.Millisecond)
		default:
			b.keys(walkKeys[r.IntN(len(walkKeys))])
		}
		b.fits()
	}
}

// reads brings in what the screen on top waits for: the record of deploys, one of them, or a watched deploy's events.
func (b *bench) reads(r *rand.Rand, n int) {
	var err error
	if r.IntN(6) == 0 {
		err = errors.New(hostile[r.IntN(len(hostile))])
	}
	switch s := b.top().(type) {
	case *fleet:
		o := tuitest.InspectedOverview()
		for i := range o.Machines {
			o.Machines[i].Name, o.Machines[i].LeftOut = hostile[r.IntN(len(hostile))], ""
		}
		b.send(inspectedMsg{overview: o, err: err})
	case *history:
		past := tuitest.PastDeploys()[:r.IntN(6)]
		for i := range past {
			past[i].Owner, past[i].Message, past[i].Version = hostile[r.IntN(len(hostile))], hostile[r.IntN(len(hostile))], hostile[r.IntN(len(hostile))]
		}
		b.send(historyMsg{of: s, past: past, err: err})
	case *deployScreen:
		if s.guest == nil {
			return
		}
		events, _ := randomDeploy(r, n)
		if s.guest.live {
			s.session.events = append(s.session.events, events...)
			b.send(newsMsg{of: s.session, over: r.IntN(3) == 0, err: err})
		} else if s.guest.replay == nil {
			b.send(recordMsg{of: s, events: events, err: err})
		}
	}
}

func randomSize(r *rand.Rand) size {
	if r.IntN(4) == 0 {
		return size{1 + r.IntN(70), 1 + r.IntN(20)}
	}
	return size{1 + r.IntN(300), 1 + r.IntN(100)}
}

// hostile texts that names, logs and prose may hold.
var hostile = []string{
	"\x1b[31mred\x1b[0m", "\x1b]0;title\a", "a\nb\tc\r", "日本語の名前がとても長い場合", "e\u0301\u0301\u0301", "\u202eright to left",
	"\x00\x01\x7f", "👩‍👩‍👧‍👦 family", "\xff\xfe", "", "a-name-that-is-much-longer-than-any-column-could-ever-be-made-to-hold-in-one-row",
}

// randomDeploy is a script in which texts are hostile, some events are lost and some come twice.
func randomDeploy(r *rand.Rand, n int) ([]engine.Event, engine.Result) {
	before, after, end := tuitest.Upgraded(n)
	switch r.IntN(4) {
	case 0:
		before, after, end = tuitest.RolledBack(n)
	case 1:
		before = tuitest.Blocked(n, engine.SeverityBlock)
	case 2:
		before = append(tuitest.Locked(), before...)
	}
	var out []engine.Event
	for _, e := range slices.Concat(before, after) {
		if r.IntN(10) == 0 {
			continue
		}
		if r.IntN(3) == 0 {
			e = hostileEvent(e, r)
		}
		out = append(out, e)
		if r.IntN(10) == 0 {
			out = append(out, e)
		}
	}
	if r.IntN(2) == 0 {
		end.Problem = &engine.Problem{What: hostile[r.IntN(len(hostile))], Remedy: hostile[r.IntN(len(hostile))]}
	}
	return out, end
}

func hostileEvent(e engine.Event, r *rand.Rand) engine.Event {
	text := func() string { return hostile[r.IntN(len(hostile))] }
	e.Text = text()
	switch r.IntN(6) {
	case 0:
		e.Log = text() + "x"
	case 1:
		e.Problem = &engine.Problem{What: text(), Remedy: text()}
	case 2:
		e.Status = engine.StatusUnknown
	case 3:
		e.Phase = engine.Phase(text())
	case 4:
		e.Facts = &engine.Machine{ID: e.Machine, Name: text(), Region: text(), ProcessGroup: text()}
	case 5:
		e.Report = &engine.MachineReport{Outcome: engine.MachineState(text()), Failures: []engine.Failure{{Module: text(), Exception: text(), Stack: []string{text()}, StateBefore: text()}}}
	}
	return e
}
