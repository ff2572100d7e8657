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
	outcome := OutcomeWord(r)
	took := Took(r.Took(), r.Waited())
	switch {
	case r.DryRun && r.Outcome == engine.OutcomeSucceeded:
		return what + ": planned in " + took + ", nothing was changed"
	case len(r.Machines) == 0:
		return what + ": " + outcome + " after " + took
	}
	return fmt.Sprintf("%s: %s, %s%s%s, after %s", what, outcome, Production(r.Machines), healthOf(r)+unwatched(r), trialOf(r), took)
}

// Took says how long a deploy took, and beside it how long its questions waited for answers.
func Took(took, waited time.Duration) string {
	if waited < time.Second {
		return text.Seconds(took + waited)
	}
	return text.Seconds(took) + " and " + text.Seconds(waited) + " of waiting for answers"
}

// healthOf says whether what runs the upgrade is well, or that it went out cold; "" where the outcome says so, or nothing was upgraded.
func healthOf(r engine.Result) string {
	if !slices.ContainsFunc(r.Machines, func(m engine.MachineResult) bool { return m.Outcome.Upgraded() && m.Outcome != engine.OutcomeUpToDate }) {
		return ""
	}
	if r.Cold {
		return ", deployed cold"
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

// unwatched says of how many machines it is not known whether they are well, since a deploy that was resumed had upgraded them; "" for none.
func unwatched(r engine.Result) string {
	n := 0
	for _, m := range r.Machines {
		if m.Outcome == engine.OutcomeUpToDate && m.Health == engine.HealthNotWatched {
			n++
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "; 1 machine had it before, and was not watched again"
	}
	return "; " + text.Count(n) + " machines had it before, and were not watched again"
}

// OutcomeWord is how a deploy has ended, in the words that its machines' rows have.
func OutcomeWord(r engine.Result) string {
	rolledBack, others := 0, 0
	for _, m := range r.Machines {
		switch {
		case m.Outcome == engine.OutcomeRolledBack || m.Outcome == engine.OutcomeRolledBackWithLosses:
			rolledBack++
		case !m.Outcome.AsBefore() || m.Outcome == engine.OutcomeMachineFailed:
			others++
		}
	}
	if r.TrialEnd != engine.TrialGoesOn {
		return trialEndWord(r.TrialEnd, r.Outcome)
	}
	if r.Outcome == engine.OutcomeFailed && rolledBack > 0 && others == 0 {
		return wordRolledBack
	}
	return text.Line(string(r.Outcome))
}

// ResultLook is a deploy's glyph and tone: what its operator wanted is not red.
func ResultLook(r engine.Result) (string, cells.Tone) {
	if r.Outcome == engine.OutcomePartial && r.IsWilful() {
		return OutcomeLook(engine.OutcomeCancelled)
	}
	return OutcomeLook(r.Outcome)
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

// Unfinished reports whether a deploy that has ended can be finished with what it has built. What was not well, and was taken back from
// all machines that had taken it, is not to be finished.
func Unfinished(r engine.Result) bool {
	has := func(is func(engine.MachineOutcome) bool) bool {
		return slices.ContainsFunc(r.Machines, func(m engine.MachineResult) bool { return is(m.Outcome) })
	}
	if has(func(o engine.MachineOutcome) bool { return o == engine.OutcomeTakenBack }) && !has(engine.MachineOutcome.Upgraded) {
		return false
	}
	return !r.DryRun && r.Upgrade.ID != "" && r.TrialEnd == engine.TrialGoesOn && r.Outcome != engine.OutcomeSucceeded && r.Outcome != engine.OutcomeBlocked
}
