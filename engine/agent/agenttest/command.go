package agenttest

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
)

// Command says what commands on temporary machines do, such as a release_command.
type Command struct {
	Prints string
	Code   int
	Takes  time.Duration
	Dies   bool // its process is ended from outside
}

// SetCommand says what commands do from now on.
func (w *World) SetCommand(c Command) { w.locked(func() { w.command = c }) }

// command is one that a temporary machine runs.
type command struct {
	Command
	begun time.Time
}

func (w *World) runCommand(m *machine) Output {
	switch {
	case m.jobs == nil, w.temporary.NoRelease:
		return say(marker + "no_release")
	case w.temporary.NoSpace:
		return say(marker + "no_space")
	case m.command == nil:
		m.command = &command{w.command, time.Now()}
	}
	return say(marker + "started")
}

// followCommand gives what it has printed, half of it half-way, or waits for more.
func (w *World) followCommand(ctx context.Context, m *machine, r request) (Output, error) {
	until := time.Now().Add(callWait)
	seen, _ := strconv.Atoi(r.args[1])
	for {
		c := m.command
		if c == nil {
			return say(marker+"died", marker+"end"), nil
		}
		half, end := c.begun.Add(c.Takes/2), c.begun.Add(c.Takes)
		printed, moment := "", half
		if now := time.Now(); !now.Before(end) {
			printed = c.Prints
		} else if !now.Before(half) {
			printed, moment = c.Prints[:len(c.Prints)/2], end
		}
		switch {
		case len(printed) > seen:
			return say(marker+"output "+base64.StdEncoding.EncodeToString([]byte(printed[seen:])), marker+"end"), nil
		case !time.Now().Before(end) && c.Dies:
			return say(marker+"died", marker+"end"), nil
		case !time.Now().Before(end):
			return say(fmt.Sprintf("%sexit %d", marker, c.Code), marker+"end"), nil
		case !time.Now().Before(until):
			return say(marker+"quiet", marker+"end"), nil
		case until.Before(moment):
			moment = until
		}
		if err := w.await(ctx, m, moment); err != nil {
			return Output{}, err
		}
	}
}
