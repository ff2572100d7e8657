package tui

import (
	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// rank orders machines on the deploy screen: what needs eyes comes first.
type rank int

const (
	rankFailed rank = iota
	rankUnknown
	rankActive
	rankWaiting
	rankReady // staged or armed: its next step is not its own
	rankDone
	rankOut // runs no release: no part of the deploy after all
	ranks   // how many there are
)

var rankWords = [ranks]string{"failed", "unknown", "running", "waiting", "ready", "done", "left out"}

// standing is where one machine stands in a deploy, in one word.
type standing struct {
	rank  rank
	word  string
	phase engine.Phase // the phase to show beside the word, "" for none
	at    engine.PhaseState
}

// glyph and tone belong to the word; the word alone tells all.
func (s standing) glyph(spin string) string {
	switch s.rank {
	case rankFailed:
		if s.word == wordRolledBack {
			return "↺"
		}
		return "✗"
	case rankUnknown:
		return "?"
	case rankActive:
		return spin
	case rankReady:
		return "○"
	case rankDone:
		return "✓"
	case rankOut:
		return "–"
	default:
		return "·"
	}
}

func (s standing) tone() cells.Tone {
	return [ranks]cells.Tone{cells.Fail, cells.Warn, cells.Active, cells.Muted, cells.Normal, cells.OK, cells.Muted}[s.rank]
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

// endWord is a machine's outcome in a deploy that has ended. A dry run takes back what it has staged: that is no failure.
func endWord(r engine.Result, outcome engine.MachineOutcome) string {
	if r.Plan != nil && outcome == "aborted" {
		return "planned"
	}
	return outcomeWord(outcome)
}

// endOf is the standing of a machine that came to no end of its own before the deploy did.
func endOf(r engine.Result, m engine.MachineResult, before standing) standing {
	end := standing{rank: rankFailed, word: endWord(r, m.Outcome)}
	switch m.Outcome {
	case "committed", "up_to_date":
		return before
	case "aborted", "expired", "not_started":
		end.rank = rankWaiting
	case "unknown":
		end.rank = rankUnknown
	case "left_out":
		end.rank = rankOut
	}
	return end
}

// standingOf tells where a machine stands. upToDate comes from the plan.
func standingOf(m *engine.MachineProgress, upToDate bool) standing {
	if failed, ok := failedPhase(m); ok {
		return failed
	}
	phase, status := m.Now()
	s := standing{phase: phase, at: m.Phases[phase]}
	switch {
	case status == engine.StatusUnknown:
		s.rank, s.word = rankUnknown, wordUnknown
	case status == engine.StatusRunning:
		s.rank, s.word = rankActive, wordRunning
	case upToDate && m.Report.Outcome != "committed":
		s.rank, s.word, s.phase = rankDone, wordUpToDate, ""
	case m.Report.Outcome == "committed" || ended(m, engine.PhaseCheck):
		s.rank, s.word, s.phase = rankDone, wordUpgraded, ""
	case m.Report.Outcome != "":
		s.rank, s.word = rankFailed, outcomeWord(engine.MachineOutcome(m.Report.Outcome))
	case m.Phases[engine.PhaseInject].Status == engine.StatusSkipped:
		s.rank, s.word, s.phase = rankOut, wordLeftOut, ""
	case ended(m, engine.PhaseArm) && phase == engine.PhaseArm:
		s.rank, s.word = rankReady, wordArmed
	case ended(m, engine.PhaseDetection) && phase == engine.PhaseDetection:
		s.rank, s.word = rankReady, wordStaged
	case status == engine.StatusDone: // the next phase was not reported yet, so nothing is shown as running
		s.rank, s.word = rankWaiting, wordWaiting
	default:
		s.rank, s.word, s.phase = rankWaiting, wordWaiting, ""
	}
	if s.phase == "" {
		s.at = engine.PhaseState{}
	}
	return s
}

// failedPhase gives the standing of a machine that failed, with the first phase that did.
func failedPhase(m *engine.MachineProgress) (standing, bool) {
	s := standing{rank: rankFailed, word: wordFailed}
	found := m.Problem != nil
	for _, p := range engine.MachinePhases {
		if at := m.Phases[p]; at.Status == engine.StatusFailed {
			s.phase, s.at, found = p, at, true
			break
		}
	}
	if o := m.Report.Outcome; found && o != "" && o != "committed" {
		s.word = outcomeWord(engine.MachineOutcome(o))
	}
	return s, found
}

func ended(m *engine.MachineProgress, p engine.Phase) bool {
	return m.Phases[p].Status == engine.StatusDone
}

// glyphOf marks the status of one phase.
func glyphOf(s engine.Status, spin string) (string, cells.Tone) {
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
