// Package view puts the engine's vocabulary into words, glyphs and lines: where a machine stands, what the fleet runs, how a
// deploy ended, a plan, a problem. Console, plain output and accessible console show the same by it. Colour never tells
// anything alone.
package view

import (
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// Rank orders machines on the deploy screen: what needs eyes comes first.
type Rank int

// The ranks.
const (
	RankFailed Rank = iota
	RankUnknown
	RankActive
	RankWaiting
	RankReady // staged or armed: its next step is not its own
	RankDone
	RankOut // runs no release: no part of the deploy after all
	Ranks   // how many there are
)

// RankWords says what machines of a rank are counted as.
var RankWords = [Ranks]string{"failed", "unknown", "running", "waiting", "ready", "done", "left out"}

// Standing is where one machine stands in a deploy, in one word.
type Standing struct {
	Rank  Rank
	Word  string
	phase engine.Phase // the phase to show beside the word, "" for none
	at    engine.PhaseState
}

// Glyph belongs to the word, which alone tells all; spin is the spinner's frame.
func (s Standing) Glyph(spin string) string {
	switch s.Rank {
	case RankFailed:
		if s.Word == wordRolledBack {
			return "↺"
		}
		return "✗"
	case RankUnknown:
		return "?"
	case RankActive:
		return spin
	case RankReady:
		return "○"
	case RankDone:
		return "✓"
	case RankOut:
		return "–"
	default:
		return "·"
	}
}

// Tone belongs to the word as well.
func (s Standing) Tone() cells.Tone {
	return [Ranks]cells.Tone{cells.Fail, cells.Warn, cells.Active, cells.Muted, cells.Normal, cells.OK, cells.Muted}[s.Rank]
}

// Words for where a machine stands.
const (
	wordFailed     = "failed"
	wordRolledBack = "rolled back"
	wordUnknown    = "unknown"
	wordRunning    = "running"
	wordWaiting    = "waiting"
	wordStaged     = "staged"
	wordArmed      = "armed"
	wordUpgraded   = "upgraded"
	wordUpToDate   = "up to date"
	wordLeftOut    = "left out"
	wordNotStarted = "not started"
)

// outcomeWords says an agent's terminal state, or what the engine puts in its place, in the operator's words.
var outcomeWords = map[engine.MachineOutcome]string{
	"committed": wordUpgraded, "rolled_back": wordRolledBack, "rolled_back_with_losses": "rolled back, processes lost",
	"failed": wordFailed, "aborted": "aborted", "expired": "expired", "stale": "changed meanwhile", "unknown": wordUnknown,
	"up_to_date": wordUpToDate, "not_started": wordNotStarted, "left_out": wordLeftOut,
}

func outcomeWord(outcome engine.MachineOutcome) string {
	if w, ok := outcomeWords[outcome]; ok {
		return w
	}
	return string(outcome)
}

// EndWord is a machine's outcome in a deploy that has ended. A dry run takes back what it has staged: that is no failure.
func EndWord(r engine.Result, outcome engine.MachineOutcome) string {
	if r.Plan != nil && outcome == "aborted" {
		return "planned"
	}
	return outcomeWord(outcome)
}

// EndOf is the standing of a machine that came to no end of its own before the deploy did.
func EndOf(r engine.Result, m engine.MachineResult, before Standing) Standing {
	end := Standing{Rank: RankFailed, Word: EndWord(r, m.Outcome)}
	switch m.Outcome {
	case "committed", "up_to_date":
		return before
	case "aborted", "expired", "not_started":
		end.Rank = RankWaiting
	case "unknown":
		end.Rank = RankUnknown
	case "left_out":
		end.Rank = RankOut
	}
	return end
}

// StandingOf tells where a machine stands. upToDate comes from the plan.
func StandingOf(m *engine.MachineProgress, upToDate bool) Standing {
	if failed, ok := failedPhase(m); ok {
		return failed
	}
	phase, status := m.Now()
	s := Standing{phase: phase, at: m.Phases[phase]}
	switch {
	case status == engine.StatusUnknown:
		s.Rank, s.Word = RankUnknown, wordUnknown
	case status == engine.StatusRunning:
		s.Rank, s.Word = RankActive, wordRunning
	case upToDate && m.Report.Outcome != "committed":
		s.Rank, s.Word, s.phase = RankDone, wordUpToDate, ""
	case m.Report.Outcome == "committed" || ended(m, engine.PhaseCheck):
		s.Rank, s.Word, s.phase = RankDone, wordUpgraded, ""
	case m.Report.Outcome != "":
		s.Rank, s.Word = RankFailed, outcomeWord(engine.MachineOutcome(m.Report.Outcome))
	case m.Phases[engine.PhaseInject].Status == engine.StatusSkipped:
		s.Rank, s.Word, s.phase = RankOut, wordLeftOut, ""
	case ended(m, engine.PhaseArm) && phase == engine.PhaseArm:
		s.Rank, s.Word = RankReady, wordArmed
	case ended(m, engine.PhaseDetection) && phase == engine.PhaseDetection:
		s.Rank, s.Word = RankReady, wordStaged
	case status == engine.StatusDone: // the next phase was not reported yet, so nothing is shown as running
		s.Rank, s.Word = RankWaiting, wordWaiting
	default:
		s.Rank, s.Word, s.phase = RankWaiting, wordWaiting, ""
	}
	if s.phase == "" {
		s.at = engine.PhaseState{}
	}
	return s
}

// failedPhase gives the standing of a machine that failed, with the first phase that did.
func failedPhase(m *engine.MachineProgress) (Standing, bool) {
	s := Standing{Rank: RankFailed, Word: wordFailed}
	found := m.Problem != nil
	for _, p := range engine.MachinePhases {
		if at := m.Phases[p]; at.Status == engine.StatusFailed {
			s.phase, s.at, found = p, at, true
			break
		}
	}
	if o := m.Report.Outcome; found && o != "" && o != "committed" {
		s.Word = outcomeWord(engine.MachineOutcome(o))
	}
	return s, found
}

func ended(m *engine.MachineProgress, p engine.Phase) bool {
	return m.Phases[p].Status == engine.StatusDone
}

// PhaseText is the phase and, while it runs, its time.
func (s Standing) PhaseText(now time.Time) string {
	if s.at.Status != engine.StatusRunning {
		return s.phase.Title()
	}
	return strings.TrimSpace(s.phase.Title() + " " + PhaseTook(s.at, now))
}

// PhaseTook is the time that a phase took, or of a running one, so far; "" when it was not reported.
func PhaseTook(s engine.PhaseState, now time.Time) string {
	switch {
	case s.DurationUS > 0:
		return Micros(s.DurationUS)
	case s.Status == engine.StatusRunning && !s.StartedAt.IsZero():
		return text.Seconds(now.Sub(s.StartedAt))
	}
	return ""
}
