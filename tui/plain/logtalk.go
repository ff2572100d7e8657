package plain

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/view"
)

const (
	readLogsEvery = 1500 * time.Millisecond
	readLogsSoon  = 100 * time.Millisecond // where an answer was full
	readLogsAgain = 10 * time.Second       // after an error
	fullLogs      = 100                    // lines of an answer after which more wait
	earlierLines  = 30                     // of the first answer
)

// printed is an answer of Fly's logs.
type printed struct {
	lines []engine.MachineLine
	err   error
}

// readLogs reads what a machine prints, or with "" all of them, until stop is called.
func (a *accessible) readLogs(ctx context.Context, machine string) (answers <-chan printed, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	to := make(chan printed)
	var reading sync.WaitGroup
	reading.Go(func() {
		from := ""
		for {
			lines, next, err := a.o.Logs.Lines(ctx, machine, from)
			wait := readLogsEvery
			switch {
			case err != nil:
				wait = readLogsAgain
			case len(lines) >= fullLogs:
				wait = readLogsSoon
			}
			if err == nil {
				from = next
			}
			select {
			case to <- printed{lines, err}:
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
	})
	return to, func() { cancel(); reading.Wait() }
}

// hearing is which of the machines' lines are told.
type hearing struct {
	machine    string // "" for all
	words      string
	onlyErrors bool
	since      time.Time       // zero: also what came before
	failed     map[string]bool // machines whose last line was an error
	begun      bool            // the first answer has come
}

// text words the lines of an answer that are told; of the first one the last of them.
func (h *hearing) text(lines []engine.MachineLine) string {
	told, more := h.chosen(lines), ""
	if n := len(told); !h.begun && n > earlierLines {
		told, more = told[n-earlierLines:], sprintf("The last %d of %s so far.\n", earlierLines, text.Counted(n, "line"))
	}
	h.begun = true
	return more + strings.Join(told, "")
}

func (h *hearing) chosen(lines []engine.MachineLine) []string {
	if h.failed == nil {
		h.failed = map[string]bool{}
	}
	var told []string
	for _, l := range lines {
		level := view.LevelOf(l, h.failed[l.Machine])
		h.failed[l.Machine] = level == view.LineFail
		if l.Text == "" || h.onlyErrors && level != view.LineFail || l.At.Before(h.since) || !view.Filtered(h.words, l.Machine+" "+l.Level+" "+l.Text) {
			continue
		}
		who := ""
		if h.machine == "" {
			who = "machine " + l.Machine + ", "
			if l.Machine == "" {
				who = "Fly, "
			}
		}
		told = append(told, sprintf("%s, %s%s%s\n", l.At.Local().Format(time.TimeOnly), who, [...]string{view.LineWarn: "warning: ", view.LineFail: "error: "}[level], l.Text))
	}
	return told
}

// logs tells what machines print until somebody presses Enter.
func (a *accessible) logs(ctx context.Context, f *view.Fleet) bool {
	machine, ok := a.askMachine(ctx, f)
	if !ok {
		return ctx.Err() == nil
	}
	words, ok := a.ask(ctx, "Words that lines must have, an exclamation mark before them inverts; Enter alone reads all lines:")
	if !ok {
		return false
	}
	a.print("Lines follow as they come. Enter ends that.\n")
	answers, stop := a.readLogs(ctx, machine)
	defer stop()
	for h := (hearing{machine: machine, words: words}); a.out.err == nil; {
		select {
		case got := <-answers:
			if got.err != nil && ctx.Err() == nil {
				a.printLines(view.Problem(engine.AsProblem(got.err), accessibleWidth))
				return true
			}
			a.out.write(h.text(got.lines))
		case _, more := <-a.answers:
			return more
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// askMachine gives the machine that is meant, "" for all; false where none is.
func (a *accessible) askMachine(ctx context.Context, f *view.Fleet) (string, bool) {
	typed, ok := a.ask(ctx, "Number of the machine whose logs to read; Enter alone reads those of all:")
	if !ok || typed == "" {
		return "", ok
	}
	m, there := a.machineNumbered(f, typed)
	return m.ID, there
}

// machineNumbered is the machine with a number as the fleet is told.
func (a *accessible) machineNumbered(f *view.Fleet, typed string) (engine.Machine, bool) {
	n, err := strconv.Atoi(typed)
	if err != nil || n < 1 || n > len(f.Overview.Machines) {
		a.print("There is no machine number %s.\n", typed)
		return engine.Machine{}, false
	}
	return f.Overview.Machines[n-1], true
}
