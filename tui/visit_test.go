package tui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// visits are programs on machines that note down where they were opened; each ends as err says.
type visits struct {
	opened []string
	err    error
}

func (v *visits) open(_ context.Context, machine string, iex bool) (plain.Visit, error) {
	if iex && v.err != nil {
		return nil, v.err
	}
	v.opened = append(v.opened, fmt.Sprintf("%s %v", machine, iex))
	return ran(func(io.Reader, io.Writer, io.Writer) error { return v.err }), nil
}

type ran func(in io.Reader, out, errs io.Writer) error

func (r ran) Run(in io.Reader, out, errs io.Writer) error { return r(in, out, errs) }

var noTerminal = engine.NewProblem("no_terminal", "`fly ssh console -a counter --machine 148e00016c0000` ended with exit status 1: Error: get app: unauthorized", nil,
	"Run the command by hand to see all that it says.")

func TestVisitsFromTheFleet(t *testing.T) {
	everySize(t, Options{Terminal: (&visits{}).open}, func(b *bench) {
		b.sees(6)
		b.keys("down", "enter")
		b.golden()
	})
}

func TestVisitsAfterADeploy(t *testing.T) {
	everySize(t, Options{Terminal: (&visits{}).open}, func(b *bench) {
		before, after, end := tuitest.Upgraded(6)
		b.deploys(slices.Concat(before, after), &end)
		b.golden()
	})
}

func TestVisitsThatFail(t *testing.T) {
	for _, s := range sizes[:3] {
		t.Run(s.String(), func(t *testing.T) {
			b := newBench(t, s, Options{Terminal: (&visits{err: noTerminal}).open})
			b.sees(6)
			b.keys("down", "down")
			b.answered(">")
			b.golden()
		})
	}
}

// A machine is looked at before anything is opened, and what nobody waits for any more is not opened.
func TestVisitsAreOpenedOnTheMachineUnderTheCursor(t *testing.T) {
	v := &visits{}
	b := newBench(t, size{120, 40}, Options{Terminal: v.open})
	b.sees(6)
	b.keys("down", "down")
	found := b.do("$")
	b.shows("A shell on 148e00016c0000", "Looking at the machine...")
	if cmd := b.onAnswer(found); cmd == nil || b.dialog != nil {
		t.Error("the terminal is not handed over")
	}
	b.send(visitedMsg{what: "A shell on 148e00016c0000"})
	b.shows("A shell on 148e00016c0000 has ended")
	found = b.do(">")
	b.shows("IEx on 148e00016c0000")
	b.keys("esc")
	if cmd := b.onAnswer(found); cmd != nil {
		t.Error("what was closed is opened")
	}
	b.keys("down")
	if b.do("$"); b.dialog != nil {
		t.Error("a stopped machine is looked at")
	}
	b.shows("148e00046c5ccd is stopped: it has no shell")
	if want := []string{"148e00016c0000 false", "148e00016c0000 true"}; !slices.Equal(v.opened, want) {
		t.Errorf("opened %q", v.opened)
	}
	b.keys("?")
	b.shows("a shell on the machine", "remote IEx in its VM")
	b.keys("esc", ":")
	b.types("iex")
	b.shows("remote IEx in its VM")
}

// During a deploy the row under the cursor is meant, but not while the plan waits for a key, nor where the deploy is a record.
func TestVisitsDuringADeploy(t *testing.T) {
	v := &visits{err: noTerminal}
	b := newBench(t, size{120, 40}, Options{Terminal: v.open})
	before, after, end := tuitest.Upgraded(6)
	b.deploys(before, nil)
	b.do("$")
	b.hears(after[:26], nil)
	b.keys("g")
	b.do("$")
	b.keys("esc")
	b.hears(after[26:], &end)
	b.answered(">")
	b.shows("IEx on ", "Error: get app: unauthorized", "by hand")
	if len(v.opened) != 1 {
		t.Errorf("opened %q", v.opened)
	}
	record := newBench(t, size{120, 40}, Options{Terminal: v.open, Record: slices.Concat(before, after)})
	record.Init()
	record.do("$")
	if len(v.opened) != 1 {
		t.Error("a machine of a record is visited")
	}
}

func TestRule15NoVisitsInAReadOnlyConsole(t *testing.T) {
	v := &visits{}
	b := newBench(t, size{120, 40}, Options{Terminal: v.open, ReadOnly: true})
	b.sees(6)
	b.keys("down", "$", ">")
	b.hides("shell", "IEx")
	b.keys("?")
	b.hides("shell", "IEx")
	if len(v.opened) > 0 || b.dialog != nil {
		t.Errorf("opened %q", v.opened)
	}
}

// The program has the terminal, what is typed goes to it, and then the console's screen is back.
func TestProgramHandsTheTerminalOver(t *testing.T) {
	o := playing(6, tuitest.Upgraded)
	var typed string
	o.Terminal = func(context.Context, string, bool) (plain.Visit, error) {
		return ran(func(in io.Reader, out, _ io.Writer) error {
			fmt.Fprint(out, "sh-5.1# ")
			line, err := bufio.NewReader(in).ReadString('\n') // what the terminal has answered may come before what is typed
			typed = line
			return errors.Join(err, noTerminal)
		}), nil
	}
	r := runOn(t.Context(), newTerminal(t, size{120, 40}), o)
	r.waitFor("wispy-frost-12")
	r.press("$")
	r.waitFor("sh-5.1#")
	r.until("the terminal as it was", r.given)
	r.press("exit\n")
	r.waitFor("Error: get app: unauthorized")
	r.waitFor("wispy-frost-12")
	if alternate, cursor := r.state(); !alternate || cursor || !strings.HasSuffix(typed, "exit\n") {
		t.Errorf("typed %q, alternate screen %v", typed, alternate)
	}
	r.press("\r")
	r.press("q")
	r.over()
	if r.err != nil {
		t.Error(r.err)
	}
}

// A bug in what has the terminal is a bug of the console, which leaves the terminal as it was.
func TestRule14CrashOfAVisitRestoresTheTerminal(t *testing.T) {
	o := playing(6, tuitest.Upgraded)
	o.Terminal = func(context.Context, string, bool) (plain.Visit, error) {
		return ran(func(io.Reader, io.Writer, io.Writer) error { panic("a bug") }), nil
	}
	r := runOn(t.Context(), newTerminal(t, size{80, 24}), o)
	r.waitFor("148e00016c0000")
	r.press("$")
	r.over()
	if crashed := (*CrashError)(nil); !errors.As(r.err, &crashed) || crashed.Value != "a bug" {
		t.Errorf("%v", r.err)
	}
}
