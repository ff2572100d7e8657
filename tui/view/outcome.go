package view

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// StatusLook marks the status of one phase.
func StatusLook(s engine.Status, spin string) (string, cells.Tone) {
	switch s {
	case engine.StatusDone:
		return "✓", cells.OK
	case engine.StatusRunning:
		return spin, cells.Active
	case engine.StatusFailed:
		return "✗", cells.Fail
	case engine.StatusSkipped:
		return "–", cells.Muted
	case engine.StatusUnknown:
		return "?", cells.Warn
	default:
		return "·", cells.Muted
	}
}

// Headline is the outcome in one sentence.
func Headline(r engine.Result) string {
	what := strings.TrimSpace(r.Upgrade.App + " " + r.Upgrade.Version)
	if what == "" {
		what = "deploy"
	}
	took := text.Seconds(time.Duration(r.DurationMS) * time.Millisecond)
	upgraded := 0
	for _, m := range r.Machines {
		if m.Outcome == "committed" || m.Outcome == "up_to_date" {
			upgraded++
		}
	}
	switch {
	case r.DryRun && r.Outcome == engine.OutcomeSucceeded:
		return what + ": planned in " + took + ", nothing was changed"
	case len(r.Machines) == 0:
		return what + ": " + string(r.Outcome) + " after " + took
	}
	verb := "run"
	if len(r.Machines) == 1 {
		verb = "runs"
	}
	return fmt.Sprintf("%s: %s, %s of %s %s it, after %s", what, r.Outcome, text.Count(upgraded), text.Counted(len(r.Machines), "machine"), verb, took)
}

// OutcomeLook is an outcome's glyph and tone; the word stands beside it.
func OutcomeLook(o engine.Outcome) (string, cells.Tone) {
	switch o {
	case engine.OutcomeSucceeded:
		return "✓", cells.OK
	case engine.OutcomeCancelled, engine.OutcomeLocked, engine.OutcomeBlocked:
		return "–", cells.Warn
	case engine.OutcomeFailed, engine.OutcomePartial:
		return "✗", cells.Fail
	}
	return "?", cells.Warn
}
