package tui

import (
	"time"

	"flydeploy/engine"
	"flydeploy/tui/view"
)

// waitShown is how long a question to the operator stays on the screen of a replay.
const waitShown = time.Second

// mark is a moment of a record that can be jumped to: a phase of the fleet begins, or something fails.
type mark struct {
	at      time.Time
	phase   engine.Phase // "" of a machine's failure
	machine string       // "" of the fleet's
}

// skip is a time of a record that is not played.
type skip struct{ from, to time.Time }

// track tells what lies where in a record.
type track struct {
	begin, end time.Time
	phases     []mark
	failures   []mark
	skips      []skip
}

// newTrack reads events that are in the order of their time.
func newTrack(events []engine.Event) *track {
	t := &track{}
	if len(events) == 0 {
		return t
	}
	t.begin, t.end = events[0].At, events[len(events)-1].At
	p, bad := engine.NewProgress(), map[string]bool{}
	var asked time.Time // since when an operator is asked, zero for not
	for i, e := range events {
		before := p.Fleet[e.Phase].Status
		p.Apply(e)
		if i > 0 && asked.IsZero() && e.At.Sub(events[i-1].At) > skipIdle {
			t.skips = append(t.skips, skip{events[i-1].At, e.At.Add(-skipIdle)})
		}
		switch asks := asksOperator(p); {
		case asks && asked.IsZero():
			asked = e.At
		case !asks && !asked.IsZero():
			t.skipWait(asked, e.At)
			asked = time.Time{}
		}
		if e.Log == "" {
			t.mark(e, before, p, bad)
		}
	}
	if !asked.IsZero() {
		t.skipWait(asked, t.end)
	}
	return t
}

// asksOperator reports whether a deploy stands still until somebody answers.
func asksOperator(p *engine.Progress) bool {
	switch p.Asks() {
	case engine.QuestionPlan, engine.QuestionSick, engine.QuestionFailed, engine.QuestionBack:
		return true
	case engine.QuestionWatch:
		return p.Plan != nil && p.Plan.Waits && len(p.Ways) > 0
	}
	return false
}

func (t *track) skipWait(from, to time.Time) {
	if from = from.Add(waitShown); from.Before(to) {
		t.skips = append(t.skips, skip{from, to})
	}
}

// mark notes down what begins or fails with an event. bad are the machines that have failed so far.
func (t *track) mark(e engine.Event, before engine.Status, p *engine.Progress, bad map[string]bool) {
	if e.Machine == "" {
		switch now := p.Fleet[e.Phase].Status; {
		case now == before:
		case now == engine.StatusRunning, before != engine.StatusRunning && now == engine.StatusDone:
			t.phases = append(t.phases, mark{at: e.At, phase: e.Phase})
		case now == engine.StatusFailed:
			t.failures = append(t.failures, mark{at: e.At, phase: e.Phase})
		}
		return
	}
	rank := view.StandingOf(p.Machine(e.Machine), false).Rank
	failed := rank == view.RankFailed || rank == view.RankUnknown
	if failed && !bad[e.Machine] {
		t.failures = append(t.failures, mark{at: e.At, machine: e.Machine})
	}
	bad[e.Machine] = failed
}

// past gives the time from which on the record is played, where the clock stands in what is skipped.
func (t *track) past(at time.Time) time.Time {
	for _, s := range t.skips {
		if !at.Before(s.from) && at.Before(s.to) {
			return s.to
		}
	}
	return at
}

// played is how much of the record is played until a time.
func (t *track) played(at time.Time) time.Duration {
	d := at.Sub(t.begin)
	for _, s := range t.skips {
		if at.After(s.from) {
			d -= min(s.to.Sub(s.from), at.Sub(s.from))
		}
	}
	return d
}

// length is how long the whole record is played at speed 1.
func (t *track) length() time.Duration { return t.played(t.end) }

// at is the time when so much has been played, within the record.
func (t *track) at(played time.Duration) time.Time {
	at := t.begin.Add(min(max(played, 0), t.length()))
	for _, s := range t.skips {
		if at.Before(s.from) {
			break
		}
		at = at.Add(s.to.Sub(s.from))
	}
	return at
}

// lasts is how long a phase is played until the next one begins.
func (t *track) lasts(phase int) time.Duration {
	end := t.end
	if phase+1 < len(t.phases) {
		end = t.phases[phase+1].at
	}
	return t.played(end) - t.played(t.phases[phase].at)
}

// cell is which of n cells of a line a time is in.
func (t *track) cell(at time.Time, n int) int {
	whole := max(t.length(), 1)
	return min(max(int((t.played(at)*time.Duration(n-1)+whole/2)/whole), 0), n-1)
}

// markAfter gives the first of some marks after a time.
func markAfter(marks []mark, at time.Time) (mark, bool) {
	for _, m := range marks {
		if m.at.After(at) {
			return m, true
		}
	}
	return mark{}, false
}

// markBefore gives the last of some marks before a time.
func markBefore(marks []mark, at time.Time) (found mark, there bool) {
	for _, m := range marks {
		if !m.at.Before(at) {
			break
		}
		found, there = m, true
	}
	return found, there
}
