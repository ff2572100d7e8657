package view

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// PastWord is how a recorded deploy ended, or that it runs.
func PastWord(p engine.Past) string {
	if p.Running {
		return "running"
	}
	return pastEnd(p)
}

// pastEnd is how it ended, with what has become of it.
func pastEnd(p engine.Past) string {
	end := string(p.Outcome)
	if p.TrialEnd != engine.TrialGoesOn {
		end = trialEndWord(p.TrialEnd, p.Outcome)
	}
	return trialWord(p, end) + coldWord(p)
}

func coldWord(p engine.Past) string {
	if p.Cold {
		return ", cold"
	}
	return ""
}

// PastOutcome is the same with its glyph.
func PastOutcome(p engine.Past) cells.Span {
	if p.Running {
		return cells.Span{Text: "● running", Tone: cells.Active}
	}
	outcome := p.Outcome
	if p.Stopped {
		outcome = engine.OutcomeCancelled
	}
	glyph, t := OutcomeLook(outcome)
	return cells.New(t, glyph+" "+pastEnd(p))
}

// HealthWord is what watching has shown, "" where that is not recorded, or nothing was there to be watched.
func HealthWord(p engine.Past) string {
	switch p.Health {
	case engine.HealthHealthy:
		return "well"
	case engine.HealthUnhealthy:
		return "not well"
	case engine.HealthUnknown:
		return wordUnknown
	case engine.HealthNotWatched:
		if p.Upgraded == 0 {
			return ""
		}
		return "not watched"
	}
	return text.Line(string(p.Health))
}

// Date is a day and a time, "" for a deploy whose begin is not known.
func Date(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04")
}

// Past tells everything that the record's list holds of a deploy.
func Past(p engine.Past, now time.Time, w int) []cells.Line {
	lines := []cells.Line{
		cells.Line{cells.New(cells.Strong, p.ID)}.Fit(w), nil, append(cells.Line{{Text: "outcome", Tone: cells.Muted}}.Fit(cells.FactTitle), PastOutcome(p)).Fit(w),
	}
	var since, suspended, took, machines, trial string
	if p.Trial != nil {
		trial = p.Trial.Describe(now)
	}
	if !p.At.IsZero() {
		since = Date(p.At) + ", " + Ago(now.Sub(p.At))
	}
	if p.MaxSuspendedUS > 0 {
		suspended = "max " + Micros(p.MaxSuspendedUS)
	}
	if p.DurationMS > 0 {
		took = Took(p.Took(), p.Waited())
	}
	if p.Machines > 0 {
		machines = fmt.Sprintf("%s of %s upgraded", text.Count(p.Upgraded), text.Count(p.Machines))
	}
	for _, f := range []struct{ title, value string }{
		{"when", since}, {"version", p.Version}, {"machines", machines}, {"trial", trial}, {"tried", p.Tried}, {"health", HealthWord(p)}, {"why", p.Why}, {"plan", p.Verdict.Text}, {"suspended", suspended}, {"took", took}, {"by", p.Owner},
		{"host", p.Host}, {"message", p.Message}, {"boot loop", strings.Join(p.BootsImage, ", ")}, {"revision", p.GitRevision}, {"CI", p.CILink}, {"record", p.Address},
	} {
		if f.value != "" {
			fact := cells.FactLines(f.title, f.value, w)
			if f.value == p.CILink || f.value == p.Address {
				fact = Linked(fact, f.value)
			}
			lines = append(lines, fact...)
		}
	}
	return lines
}

// Linked has the parts of an address lead to it.
func Linked(lines []cells.Line, address string) []cells.Line {
	for _, l := range lines {
		for i := range l {
			if part := strings.TrimSpace(l[i].Text); part != "" && strings.Contains(address, part) {
				l[i] = l[i].To(address)
			}
		}
	}
	return lines
}

// Again reports whether a recorded deploy has code that can be deployed again: not while it runs, and not the end of a trial, or what was
// withdrawn.
func Again(p engine.Past) bool {
	return !p.Running && p.Version != "" && p.TrialEnd == engine.TrialGoesOn && p.Outcome != engine.OutcomeWithdrawn
}
