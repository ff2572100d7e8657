// Package view puts the engine's vocabulary into words, glyphs and lines: where a machine stands, what the fleet runs, how a
// deploy ended, a plan, a problem. So console, plain output and accessible console all say the same. Colour never tells
// anything alone.
package view

import (
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// Rank orders machines on the deploy screen: what needs attention comes first.
type Rank int

// The ranks.
const (
	RankFailed Rank = iota
	RankUnknown
	RankActive
	RankWaiting
	RankReady // staged or armed: its next step is not its own
	RankDone
	RankOut // runs no release: it has no part in the deploy
	Ranks   // how many there are
)

// RankWords names the machines of each rank in the totals.
var RankWords = [Ranks]string{"failed", "unknown", "running", "waiting", "ready", "done", "left out"}

// Standing is where one machine stands in a deploy, in one word.
type Standing struct {
	Rank  Rank
	Word  string
	phase engine.Phase // the phase to show beside the word, "" for none
	at    engine.PhaseState
}

// Glyph stands before the word, which alone tells everything; spin is the spinner's current frame.
func (s Standing) Glyph(spin string) string {
	switch s.Rank {
	case RankFailed:
		if s.Word == wordRolledBack || s.Word == wordTakenBack {
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

// Tone is the tone of word and glyph.
func (s Standing) Tone() cells.Tone {
	return [Ranks]cells.Tone{cells.Fail, cells.Warn, cells.Active, cells.Muted, cells.Normal, cells.OK, cells.Muted}[s.Rank]
}

// Words that are used more than once.
const (
	wordFailed     = "failed"
	wordRolledBack = "rolled back"
	wordTakenBack  = "taken back"
	wordUnknown    = "unknown"
	wordUnverified = "unverified"
	wordUpgraded   = "upgraded"
	wordWaiting    = "waiting"
)

// states says how each state of a machine is shown. A machine that is being worked on moves only while one of its phases is
// reported as running: see StandingOf.
var states = map[engine.MachineState]Standing{
	engine.MachineWaiting:              {Rank: RankWaiting, Word: wordWaiting},
	engine.MachineStaging:              {Rank: RankActive, Word: "staging"},
	engine.MachineStaged:               {Rank: RankReady, Word: "staged"},
	engine.MachineUpToDate:             {Rank: RankDone, Word: "up to date"},
	engine.MachineArming:               {Rank: RankActive, Word: "arming"},
	engine.MachineArmed:                {Rank: RankReady, Word: "armed"},
	engine.MachineCommitting:           {Rank: RankActive, Word: "committing"},
	engine.MachineCommitted:            {Rank: RankDone, Word: "committed"},
	engine.MachineVerified:             {Rank: RankDone, Word: wordUpgraded},
	engine.MachineRecorded:             {Rank: RankDone, Word: wordUpgraded},
	engine.MachineTakenBack:            {Rank: RankFailed, Word: wordTakenBack},
	engine.MachineCold:                 {Rank: RankDone, Word: "deployed cold"},
	engine.MachineUnhealthy:            {Rank: RankFailed, Word: "not well"},
	engine.MachineLeftOut:              {Rank: RankOut, Word: "left out"},
	engine.MachineDown:                 {Rank: RankFailed, Word: "not running"},
	engine.MachineFailed:               {Rank: RankFailed, Word: wordFailed},
	engine.MachineStale:                {Rank: RankFailed, Word: "code changed"},
	engine.MachineAborted:              {Rank: RankWaiting, Word: "aborted"},
	engine.MachineExpired:              {Rank: RankWaiting, Word: "expired"},
	engine.MachineRolledBack:           {Rank: RankFailed, Word: wordRolledBack},
	engine.MachineRolledBackWithLosses: {Rank: RankFailed, Word: "lost processes"},
	engine.MachineUnknown:              {Rank: RankUnknown, Word: wordUnknown},
	engine.MachineRestarted:            {Rank: RankFailed, Word: "restarted"},
	engine.MachineReplaced:             {Rank: RankFailed, Word: "replaced"},
	engine.MachineStopped:              {Rank: RankFailed, Word: "stopped"},
	engine.MachineGone:                 {Rank: RankFailed, Word: "destroyed"},
}

// outcomes are those whose words differ from the state of the same name, or that are no states; the others are shown as states.
var outcomes = map[engine.MachineOutcome]Standing{
	engine.OutcomeCommitted:  {Rank: RankDone, Word: wordUpgraded},
	engine.OutcomeUnverified: {Rank: RankUnknown, Word: wordUnverified},
	engine.OutcomeNotStarted: {Rank: RankWaiting, Word: "not upgraded"},
}

// EndOf is the standing of a machine in a deploy that has ended. A dry run takes back what it has staged: that is no
// failure. An outcome that a newer version has recorded stands for itself.
func EndOf(r engine.Result, outcome engine.MachineOutcome) Standing {
	if r.Plan != nil && outcome == engine.OutcomeAborted {
		return Standing{Rank: RankWaiting, Word: "planned"}
	}
	if s, ok := outcomes[outcome]; ok {
		return s
	}
	if s, ok := states[engine.MachineState(outcome)]; ok {
		return s
	}
	return Standing{Rank: RankUnknown, Word: text.Line(string(outcome))}
}

// StandingOf tells where a machine stands while its deploy runs. upToDate comes from the plan.
func StandingOf(m *engine.MachineProgress, upToDate bool) Standing {
	state := stateOf(m, upToDate)
	if upToDate && state.Upgraded() {
		state = engine.MachineUpToDate
	}
	s, ok := states[state]
	if !ok {
		return Standing{Rank: RankUnknown, Word: text.Line(string(state))}
	}
	switch phase, status := m.Now(); {
	case state.Upgraded() && m.Phases[engine.PhaseWatch].Status == engine.StatusRunning:
		s = Standing{Rank: RankActive, Word: "watched", phase: engine.PhaseWatch, at: m.Phases[engine.PhaseWatch]}
	case m.Problem != nil && state == engine.MachineCommitted:
		s.Rank, s.Word = RankUnknown, wordUnverified
	case s.Rank == RankFailed, m.Problem != nil && s.Rank == RankWaiting:
		s.Rank = RankFailed
		s.phase, s.at = failedPhase(m)
	case s.Rank == RankActive && (state == engine.MachineCommitting || status == engine.StatusRunning):
		s.phase, s.at = phase, m.Phases[phase]
	case s.Rank == RankActive: // the next phase was not reported yet, so nothing is shown as running
		s.Rank, s.Word, s.phase, s.at = RankWaiting, wordWaiting, phase, m.Phases[phase]
	case s.Rank == RankReady, s.Rank == RankUnknown:
		s.phase, s.at = phase, m.Phases[phase]
	}
	return s
}

// stateOf is the machine's state. Streams of older versions tell only that staging began, and the end: what lies between is
// read from the phases.
func stateOf(m *engine.MachineProgress, upToDate bool) engine.MachineState {
	if m.State != engine.MachineWaiting && m.State != engine.MachineStaging {
		return m.State
	}
	failed, _ := failedPhase(m)
	switch phase, status := m.Now(); {
	case failed != "", m.Problem != nil:
		return engine.MachineFailed
	case status == engine.StatusUnknown:
		return engine.MachineUnknown
	case m.Phases[engine.PhaseInject].Status == engine.StatusSkipped:
		return engine.MachineLeftOut
	case status == engine.StatusPending:
		return m.State
	case phase == engine.PhaseArm && status == engine.StatusDone:
		return engine.MachineArmed
	case phase == engine.PhaseArm:
		return engine.MachineArming
	case slices.Index(engine.MachinePhases, phase) > slices.Index(engine.MachinePhases, engine.PhaseArm):
		return engine.MachineCommitting
	case upToDate && status == engine.StatusDone:
		return engine.MachineUpToDate
	case phase == engine.PhaseDetection && status == engine.StatusDone:
		return engine.MachineStaged
	}
	return engine.MachineStaging
}

// failedPhase is the first phase of a machine that failed, "" for none.
func failedPhase(m *engine.MachineProgress) (engine.Phase, engine.PhaseState) {
	for _, p := range engine.MachinePhases {
		if at := m.Phases[p]; at.Status == engine.StatusFailed {
			return p, at
		}
	}
	return "", engine.PhaseState{}
}

// Watched reports whether the machine has the upgrade, and is watched.
func (s Standing) Watched() bool { return s.Rank == RankActive && s.phase == engine.PhaseWatch }

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

// Happened says in a few words what a machine does, what went wrong with it, or how its upgrade went; "" where there is nothing to say.
func Happened(m *engine.MachineProgress, s Standing, now time.Time) string {
	switch status := s.at.Status; {
	case m.Problem != nil:
		return m.Problem.What
	case status == engine.StatusRunning, status == engine.StatusFailed:
		return s.PhaseText(now)
	case s.Rank == RankOut:
		return m.Phases[engine.PhaseInject].Text
	case m.Report.SuspendedUS > 0:
		return "suspended " + Micros(m.Report.SuspendedUS) + ", " + text.Counted(m.Report.Migrated, "process") + " migrated"
	}
	return ""
}
