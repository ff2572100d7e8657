package plain

import (
	"context"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/view"
)

const (
	readLogsEvery = 1500 * time.Millisecond
	readLogsSoon  = 100 * time.Millisecond // where an answer was full
	fullLogs      = 100                    // lines of an answer after which more wait
	earlierLines  = 30                     // of the first answer
)

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
	failed := map[string]bool{}
	for first, from := true, ""; a.out.err == nil; first = false {
		lines, next, err := a.o.Logs.Lines(ctx, machine, from)
		if err != nil && ctx.Err() == nil {
			a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
			return true
		}
		from = next
		told := a.chosenLines(lines, words, machine == "", failed)
		if first && len(told) > earlierLines {
			a.print("The last %d of %s so far.\n", earlierLines, text.Counted(len(told), "line"))
			told = told[len(told)-earlierLines:]
		}
		a.out.write(strings.Join(told, ""))
		wait := readLogsEvery
		if len(lines) >= fullLogs {
			wait = readLogsSoon
		}
		if ended, more := a.pause(ctx, wait); ended {
			return more
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

// chosenLines words the lines that have what is wanted. failed notes down whose last line was an error.
func (a *accessible) chosenLines(lines []engine.MachineLine, words string, ofAll bool, failed map[string]bool) []string {
	var told []string
	for _, l := range lines {
		level := view.LevelOf(l, failed[l.Machine])
		failed[l.Machine] = level == view.LineFail
		if l.Text == "" || !view.Filtered(words, l.Machine+" "+l.Level+" "+l.Text) {
			continue
		}
		who := ""
		if ofAll {
			who = "machine " + l.Machine + ", "
			if l.Machine == "" {
				who = "Fly, "
			}
		}
		told = append(told, sprintf("%s, %s%s%s\n", l.At.Local().Format(time.TimeOnly), who, [...]string{view.LineWarn: "warning: ", view.LineFail: "error: "}[level], l.Text))
	}
	return told
}

// pause waits, or ends with a typed line; more tells whether there is anything more to ask then.
func (a *accessible) pause(ctx context.Context, d time.Duration) (ended, more bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case _, more = <-a.answers:
		return true, more
	case <-ctx.Done():
		return true, false
	case <-timer.C:
		return false, true
	}
}
