package plain

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// deployLogs are what machines print, among the lines of their deploy: while somebody wants that.
type deployLogs struct {
	hearing hearing
	answers <-chan printed // nil: nobody wants it
	end     func()
	err     error // that was told
}

// howToHear says at the beginning of a deploy how to hear what its machines print.
const howToHear = "Logs of the machines: type logs at any time. logs and a machine's number, logs errors or logs /words tell some of the lines, logs off ends that.\n"

func (l *deployLogs) stop() {
	if l.answers != nil {
		l.end()
	}
	*l = deployLogs{}
}

// logCommand takes a line that is about the machines' logs, and reports whether it is one. What was asked before it is asked again.
func (c *conversation) logCommand(ctx context.Context, typed, asked string) bool {
	command, filter, _ := strings.Cut(typed, " /")
	words := strings.Fields(strings.ToLower(command))
	if c.o.Logs == nil || c.typing != "" || len(words) == 0 || words[0] != "logs" {
		return false
	}
	h := hearing{words: filter, since: c.p.Fleet[engine.PhaseCommit].StartedAt, onlyErrors: slices.Contains(words, "errors")}
	for _, word := range words[1:] {
		if id, there := c.machineCalled(word); there {
			h.machine = id
		} else if word != "errors" && word != "off" {
			c.print("There is no machine number %s. "+howToHear+"%s", word, asked)
			return true
		}
	}
	c.logs.stop()
	if slices.Contains(words, "off") {
		c.print("No more logs.\n%s", asked)
		return true
	}
	c.logs.hearing = h
	c.logs.answers, c.logs.end = c.readLogs(ctx, h.machine)
	c.print("%s follow.\n%s", h.title(), asked)
	return true
}

// machineCalled is the machine that a deploy's lines call by a number, [3/6], or by its id.
func (c *conversation) machineCalled(word string) (id string, there bool) {
	if n, err := strconv.Atoi(word); err == nil && n >= 1 && n <= len(c.p.Machines) {
		return c.p.Machines[n-1].ID, true
	}
	return word, c.p.Machine(word) != nil
}

// title says which lines are told.
func (h *hearing) title() string {
	title := "Logs of all machines"
	if h.machine != "" {
		title = "Logs of " + h.machine
	}
	if h.onlyErrors {
		title += ", only errors"
	}
	if h.words != "" {
		title += ", with " + spoken(h.words)
	}
	if !h.since.IsZero() {
		title += ", since the commit at " + h.since.Local().Format(time.TimeOnly)
	}
	return title
}

// hears tells an answer of the logs. An error is told once; they are asked again.
func (c *conversation) hears(got printed) {
	switch l := &c.logs; {
	case got.err == nil:
		c.out.tell(l.hearing.text(got.lines))
	case l.err == nil || l.err.Error() != got.err.Error():
		c.out.tell(spokenGlyphs.Replace(cells.String(view.Problem(engine.AsProblem(got.err), accessibleWidth))))
	}
	c.logs.err = got.err
	c.out.again()
}
