package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// acting is a console whose acts note down what they would have done.
func acting(tb testing.TB, s size) (*bench, *[]string) {
	var made []string
	b := newBench(tb, s, Options{Acts: tuitest.ActsOf(func(what string) { made = append(made, what) })})
	b.sees(6)
	return b, &made
}

// runs opens the palette, types a command and runs it to the message that it brings.
func (b *bench) runs(words string) {
	b.tb.Helper()
	b.keys(":")
	b.types(words)
	b.answered("enter")
}

// answered presses a key, and hands over what its command brings.
func (b *bench) answered(name string) {
	b.tb.Helper()
	if msg := b.do(name); msg != nil {
		b.send(msg)
	}
}

func TestDoctorScreen(t *testing.T) {
	everySize(t, Options{Acts: tuitest.ActsOf(nil)}, func(b *bench) {
		b.sees(6)
		b.runs("doctor")
		b.golden()
	})
}

func TestActDialogs(t *testing.T) {
	for name, open := range map[string]func(*bench){
		"withdraw": func(b *bench) { b.runs("withdraw"); b.types("it crashes at boot") },
		"agree":    func(b *bench) { b.runs("withdraw"); b.answered("enter"); b.types("count") },
		"release":  func(b *bench) { b.runs("lock release") },
		"freeze":   func(b *bench) { b.runs("freeze"); b.types("Black Friday") },
		"frozen":   func(b *bench) { b.runs("freeze"); b.types("Black Friday"); b.answered("enter") },
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range sizes[:3] {
				t.Run(s.String(), func(t *testing.T) {
					b, made := acting(t, s)
					open(b)
					b.golden()
					if len(*made) > 0 {
						t.Errorf("made before anybody agreed: %q", *made)
					}
				})
			}
		})
	}
}

// Only the app's typed name withdraws or releases; enter alone, a wrong name and esc change nothing.
func TestActsWaitForTheTypedName(t *testing.T) {
	for command, done := range map[string]string{
		"withdraw": "withdrawn: hot upgrade 0.1.1. it crashes", "lock release": "released the lock of bob@ci-7 (deploy 01K93P)",
	} {
		b, made := acting(t, size{80, 24})
		ask := func() {
			b.runs(command)
			if command == "withdraw" {
				b.types("it crashes")
				b.answered("enter")
			}
		}
		for _, keys := range [][]string{{"enter"}, {"tab", "enter", "esc"}, {"c", "o", "tab", "enter", "esc"}, {"esc"}} {
			ask()
			for _, k := range keys {
				b.answered(k)
			}
			if b.dialog != nil || len(*made) > 0 {
				t.Fatalf("%s, %v: %v, made %q", command, keys, b.dialog, *made)
			}
		}
		ask()
		b.types("counter")
		b.keys("tab")
		b.answered("enter")
		if !slices.Equal(*made, []string{done}) {
			t.Errorf("%s made %q", command, *made)
		}
		b.shows(done)
	}
}

func TestAFreezeIsAskedAboutInTheConsole(t *testing.T) {
	b, made := acting(t, size{80, 24})
	b.runs("freeze")
	b.keys("down")
	for range 2 {
		b.keys("backspace")
	}
	b.types("2h")
	b.answered("enter")
	b.shows("say why nobody may deploy")
	b.keys("enter")
	b.runs("freeze")
	b.types("Black Friday")
	b.answered("enter")
	b.shows("Black Friday", "keeps everybody from deploying")
	b.answered("enter") // the focus is on Cancel
	if len(*made) > 0 || b.dialog != nil {
		t.Fatalf("made %q", *made)
	}
	b.runs("freeze")
	b.types("Black Friday")
	b.answered("enter")
	b.keys("tab")
	b.answered("enter")
	if !slices.Equal(*made, []string{"deploys are frozen until 1h: Black Friday"}) {
		t.Errorf("made %q", *made)
	}
}

// What fails, or is nothing, is told; an answer that nobody waits for any more opens nothing.
func TestActsThatCannotBe(t *testing.T) {
	b, _ := acting(t, size{80, 24})
	b.opts.Acts.Release = func(context.Context) (plain.Change, error) {
		return plain.Change{Question: "the deploy lock is free"}, nil
	}
	b.opts.Acts.Withdraw = func(context.Context, string) (plain.Change, error) {
		return plain.Change{Question: "everything", Make: func(context.Context) (string, error) {
			return "done", engine.NewProblem("metadata_changed", "current.json has changed meanwhile", nil, "Look at `flydeploy history`.")
		}}, nil
	}
	b.runs("lock release")
	b.shows("the deploy lock is free", "[ o OK ]")
	b.keys("enter")
	b.runs("withdraw")
	b.answered("enter")
	b.types("counter")
	b.keys("tab")
	b.answered("enter")
	b.shows("current.json has changed meanwhile", "flydeploy history")
	b.hides("done")
	b.keys("enter", ":")
	b.types("lock release")
	asked := b.do("enter")
	b.keys("esc")
	b.send(asked)
	if b.dialog != nil {
		t.Error("a question that was closed comes back")
	}
}

// Checks are shown as they end, those that failed first; leaving ends them, and only what has ended is made again.
func TestDoctorShowsChecksAsTheyEnd(t *testing.T) {
	b, _ := acting(t, size{80, 24})
	var tell func(engine.Check)
	var asked []context.Context
	b.opts.Acts.Doctor = func(ctx context.Context, to func(engine.Check)) error {
		asked, tell = append(asked, ctx), to
		to(engine.Check{Name: "token", Status: engine.CheckOK, Text: "from FLY_API_TOKEN"})
		return ctx.Err()
	}
	b.keys(":")
	b.types("doctor")
	over := b.do("enter")
	b.shows("doctor", "looking", "0 ok")
	b.pass(busyTick)
	b.shows("1 ok · 0 warnings", "✓ token", "from FLY_API_TOKEN")
	b.hides("look again")
	tell(engine.Check{Name: "bucket", Status: engine.CheckFail, Text: "403", Remedy: "Give the key access"})
	b.pass(busyTick)
	text := b.text()
	if failed, fine := strings.Index(text, "✗ bucket"), strings.Index(text, "✓ token"); failed < 0 || failed > fine {
		t.Errorf("the failed check is not on top:\n%s", text)
	}
	b.shows("→ Give the key access")
	b.send(over)
	b.shows("look again")
	b.hides("looking")
	b.send(b.do("ctrl+r"))
	b.shows("1 ok · 0 warnings · 0 failed")
	b.keys("esc")
	if len(asked) != 2 || !errors.Is(asked[1].Err(), context.Canceled) || b.doctor != nil {
		t.Errorf("asked %d times", len(asked))
	}
}

// A read-only console looks, and offers nothing that changes the lock or the record.
func TestRule15NoActsInAReadOnlyConsole(t *testing.T) {
	acts := tuitest.ActsOf(nil)
	b := newBench(t, size{80, 24}, Options{ReadOnly: true, Acts: plain.Acts{Doctor: acts.Doctor}})
	o := tuitest.OverviewOf(6)
	o.Lock = &tuitest.Freeze
	b.send(overviewMsg{overview: o})
	for _, words := range []string{"withdraw", "release", "freeze:"} {
		b.keys(":")
		b.types(words)
		b.shows("no such command")
		b.keys("esc")
	}
	b.keys("v")
	b.hides("Release it")
	b.keys("esc")
	b.runs("doctor")
	b.shows("doctor", "1 failed")
}
