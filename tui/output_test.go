package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/tuitest"
)

var withLogs = Options{Logs: &tuitest.Logs{}}

// prints brings lines in, as a request would.
func (b *bench) prints(lines ...engine.MachineLine) { b.send(outputMsg{lines: lines, next: "7"}) }

func TestLogsScreen(t *testing.T) {
	everySize(t, withLogs, func(b *bench) {
		b.sees(6)
		b.keys("down", "l", "a")
		b.prints(tuitest.MachineLines(70)...)
		b.keys("up")
		b.golden()
	})
}

func TestLogsBesideADeploy(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	everySize(t, withLogs, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after[:26], nil)
		lines := tuitest.MachineLines(26)
		for i := range lines {
			lines[i].At = lines[i].At.Add(16 * time.Second) // around the commit
		}
		b.prints(lines...)
		b.golden()
	})
}

func TestLogsOfAMachine(t *testing.T) {
	b := newBench(t, size{120, 40}, withLogs)
	b.sees(6)
	b.keys("down", "down", "l")
	b.shows("logs of 148e00016c0000", "Reading the logs", "reading")
	b.prints(tuitest.MachineLines(12)...)
	b.shows("following", "8 lines", "✗ 6 error lines", "✗     (counter 2.0.0)", "! 12:00:00.600 [warning]", "pause")
	b.hides("GET /count", "from its begin to its end")
	b.keys("right", "right", "right")
	b.shows("from its begin to its end", "← 60 cells")
	b.keys("left", "left", "left", "e")
	b.shows("only errors", "6 lines")
	b.hides("[warning]")
	b.keys("e", "/")
	b.types("!error")
	b.keys("enter")
	b.shows("4 lines", "/ !error")
	b.hides("terminating")
	b.keys("esc", "a")
	b.shows("logs of all machines", "GET /count", "12 lines")
	b.keys("c")
	b.shows("12 lines") // there is no commit
	b.keys("esc")
	b.shows("STATE")
	if b.showsOutput() || b.readOutput(0) != nil {
		t.Error("the logs are read on although no screen shows them")
	}
}

// While it is paused, what is looked at stays where it is.
func TestPausedLogs(t *testing.T) {
	b := newBench(t, size{80, 24}, withLogs)
	b.sees(6)
	b.keys("l", "a")
	b.prints(tuitest.MachineLines(60)...)
	b.keys("pgup")
	b.shows("paused")
	top := strings.Split(b.text(), "\n")[2]
	b.prints(tuitest.MachineLines(60)...)
	if now := strings.Split(b.text(), "\n")[2]; now != top {
		t.Errorf("%q was on top, and then %q", top, now)
	}
	b.keys("f")
	b.shows("following", "–120 of 120 ↑")
}

func TestLogsSinceTheCommit(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, withLogs)
	b.deploys(before, nil)
	b.hears(after[:26], nil)
	at := b.deploy.committedAt()
	line := func(at time.Time, text string) engine.MachineLine {
		return engine.MachineLine{At: at, Machine: "m1", Level: "info", Text: text}
	}
	if !b.showsOutput() {
		t.Fatal("nobody reads the logs")
	}
	b.prints(line(at.Add(-time.Second), "too early"), line(at.Add(time.Second), "since then"))
	b.shows("logs of the machines since the commit", "since then")
	b.hides("too early")
	b.keys("l", "a")
	b.shows("since the commit at 12:0", "1 line", "from before, too")
	b.keys("c")
	b.shows("too early", "since then", "2 lines")
	b.keys("c")
	b.hides("too early")
}

// Beside a deploy that has ended the logs are read for a while only; l reads them on.
func TestLogsAfterTheEndOfADeploy(t *testing.T) {
	before, after, end := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, withLogs)
	for i := range after {
		if after[i].Phase == engine.PhaseCommit { // as the recorder does
			after[i].StartedAt = after[0].At
		}
	}
	b.deploys(before, nil)
	b.hears(after, &end)
	b.shows("logs of the machines since the commit")
	b.pass(readAfterEnd / 2)
	if !b.showsOutput() {
		t.Fatal("nobody reads the logs right after the end")
	}
	b.outputs.reading = false
	b.pass(readAfterEnd)
	if b.showsOutput() || b.readOutput(0) != nil {
		t.Error("the logs are read without end")
	}
	b.shows("logs until 1m after the end · l reads on")
	b.keys("l")
	if !b.showsOutput() {
		t.Error("nobody reads the logs that were opened")
	}
}

// A plan that waits is not hidden by logs.
func TestThePlanComesBeforeLogs(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, withLogs)
	b.deploys(before[:len(before)-1], nil)
	b.keys("l")
	b.shows("logs of ")
	b.hears(before[len(before)-1:], nil)
	b.shows("nothing has been suspended yet")
}

func TestManyLinesAreForgottenInTurn(t *testing.T) {
	var o outputs
	s := &outputScreen{follow: true, shows: outputChoice{ofAll: true}}
	const all = 3*maxOutput + 7
	for i := range all {
		o.take([]engine.MachineLine{{Machine: "m", Text: fmt.Sprint(i)}, {Machine: "m"}})
		if i%999 == 0 || i == all-1 {
			s.choose(&o)
		}
	}
	if n := len(o.lines); n > maxOutput || o.gone+n != all {
		t.Errorf("%d lines are kept, %d gone", n, o.gone)
	}
	if n := len(s.shown); n > maxOutput || s.shown[n-1].Text != fmt.Sprint(all-1) || s.shown[0].Text != fmt.Sprint(all-n) {
		t.Errorf("%d lines from %s to %s", n, s.shown[0].Text, s.shown[n-1].Text)
	}
}

func TestLogsThatCannotBeRead(t *testing.T) {
	b := newBench(t, size{80, 24}, withLogs)
	b.sees(6)
	b.keys("l")
	b.send(outputMsg{err: engine.NewProblem("forbidden", "the token may not read logs", errors.New("403"), "Use a deploy token.")})
	b.shows("! the token may not", "→ Use a deploy token.")
	b.prints(tuitest.MachineLines(1)...)
	b.hides("deploy token")
	b.pass(time.Minute)
	b.shows("1m 00s old, no answer yet")
}

// Without logs there is no key for them.
func TestNoLogs(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.keys("l")
	if b.output != nil {
		t.Error("the logs are open")
	}
	b.hides("logs")
	b.keys("?")
	b.hides("logs")
}

func TestHostileLines(t *testing.T) {
	b := newBench(t, size{120, 40}, withLogs)
	b.sees(6)
	b.keys("l", "a")
	l := engine.MachineLine{Machine: tuitest.Hostile, Region: tuitest.Hostile, Level: tuitest.Hostile, Text: tuitest.Hostile + " [error]"}
	b.prints(l)
	for range 3 {
		b.settle()
		tuitest.CheckHarmless(t, "a machine's line", cells.String(b.screen()))
		b.keys("right")
	}
	tuitest.CheckHarmless(t, "the saved lines", cells.String(b.output.rendered(0, 1, 0)))
}

// The whole way: l reads what the machines print, again and again, and shows it.
func TestLogsInAWholeConsole(t *testing.T) {
	o := playing(6, tuitest.Upgraded)
	lines := tuitest.MachineLines(12)
	o.Logs = countedLogs(func(n int, from string) ([]engine.MachineLine, string, error) {
		if n > 1 && from != "t" {
			return nil, "", fmt.Errorf("request %d goes on from %q", n, from)
		}
		return lines[min(n-1, len(lines)):min(n, len(lines))], "t", nil
	})
	term := newTerminal(t, size{120, 40})
	r := runOn(t.Context(), term, o)
	r.waitFor("7 machines")
	r.press("l")
	r.waitFor("logs of ")
	r.press("a")
	r.waitFor("2 lines")
	r.press("q")
	r.waitFor("STATE")
	r.press("q")
	r.over()
}

type countingLogs struct {
	n    int
	read func(n int, from string) ([]engine.MachineLine, string, error)
}

func countedLogs(read func(n int, from string) ([]engine.MachineLine, string, error)) *countingLogs {
	return &countingLogs{read: read}
}

// Lines implements engine.Logs; the console asks one thing after the other.
func (l *countingLogs) Lines(_ context.Context, _, from string) ([]engine.MachineLine, string, error) {
	l.n++
	return l.read(l.n, from)
}
