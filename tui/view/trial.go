package view

import (
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// trialEndWord is how the end of a trial has ended.
func trialEndWord(end engine.TrialEnd, o engine.Outcome) string {
	if o != engine.OutcomeSucceeded {
		return text.Line(string(o))
	}
	if end == engine.TrialTakenBack {
		return wordTakenBack
	}
	return "confirmed"
}

// trialWord is the end of a deploy that may be on trial.
func trialWord(p engine.Past, end string) string {
	switch {
	case p.Trial == nil:
		return end
	case p.Trial.Over(time.Now()):
		end = "trial over"
	case p.Outcome == engine.OutcomeSucceeded:
		end = "on trial"
	default:
		end += ", on trial"
	}
	return end
}

// trialOf says that what a deploy has left running is on trial.
func trialOf(r engine.Result) string {
	if r.Trial == nil {
		return ""
	}
	return ", on trial until " + clock(r.Trial.Until()) + ", not confirmed"
}

// TrialEndWords are how an end of a trial is offered: a title, the words of who does it, and what it does.
type TrialEndWords struct{ Title, Label, About string }

// TrialEnding gives the words of an end of a trial.
func TrialEnding(t *engine.Trial, how engine.TrialEnd) TrialEndWords {
	version := text.Line(t.Version)
	if how == engine.TrialTakenBack {
		return TrialEndWords{"Take " + version + " back", "Take it back", "The machines get the code that they ran before: their processes are suspended for it."}
	}
	return TrialEndWords{"Confirm " + version, "Confirm it", "It is recorded, so that machines that restart run it, too."}
}

func clock(t time.Time) string { return t.Local().Format("15:04") }

// TrialLines say what is on trial, and what ends that.
func TrialLines(t *engine.Trial, now time.Time) []string {
	return []string{
		t.Describe(now) + ": until then, machines that restart run what ran before",
		"-> `flydeploy confirm` keeps it, `flydeploy confirm --back` takes it back; if nobody does either, its machines restart without it",
	}
}

// trialLine is what is on trial, for a title.
func trialLine(t *engine.Trial) cells.Line {
	return cells.Line{cells.New(cells.Warn, t.Version+" on trial until "+clock(t.Until())+", not confirmed")}
}

// onTrial reports whether a machine runs what is on trial, as far as the record and Fly say.
func (f *Fleet) onTrial(m engine.Machine) bool {
	t := f.Overview.Trial
	if t == nil || m.State != engine.StateStarted {
		return false
	}
	own, on := t.Machines[m.ID]
	return on && f.Overview.At.Before(own.Until)
}
