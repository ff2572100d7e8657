package view

import (
	"fmt"
	"slices"
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
	what := strings.TrimSpace(text.Line(r.Upgrade.App) + " " + text.Line(r.Upgrade.Version))
	if what == "" {
		what = "deploy"
	}
	outcome := text.Line(string(r.Outcome))
	took := text.Seconds(time.Duration(r.DurationMS) * time.Millisecond)
	switch {
	case r.DryRun && r.Outcome == engine.OutcomeSucceeded:
		return what + ": planned in " + took + ", nothing was changed"
	case len(r.Machines) == 0:
		return what + ": " + outcome + " after " + took
	}
	return fmt.Sprintf("%s: %s, %s%s, after %s", what, outcome, Production(r.Machines), healthOf(r), took)
}

// healthOf says whether what runs the upgrade is well; "" where the outcome says so, or nothing was upgraded.
func healthOf(r engine.Result) string {
	if !slices.ContainsFunc(r.Machines, func(m engine.MachineResult) bool { return m.Outcome.Upgraded() && m.Outcome != engine.OutcomeUpToDate }) {
		return ""
	}
	switch r.Health {
	case engine.HealthHealthy:
		return ", and it is well"
	case engine.HealthUnknown:
		return ", whether it is well is not known"
	case engine.HealthNotWatched:
		return ", not watched"
	}
	return ""
}

// OutcomeLook is an outcome's glyph and tone; the word stands beside it.
func OutcomeLook(o engine.Outcome) (string, cells.Tone) {
	switch o {
	case engine.OutcomeSucceeded:
		return "✓", cells.OK
	case engine.OutcomeCancelled, engine.OutcomeLocked, engine.OutcomeBlocked:
		return "–", cells.Warn
	case engine.OutcomeFailed, engine.OutcomePartial, engine.OutcomeUnhealthy:
		return "✗", cells.Fail
	}
	return "?", cells.Warn
}
