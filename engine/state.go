package engine

import "slices"

// MachineState is where one machine of a deploy stands. Outcome, exit code, summary, record and screens are functions of
// it; nothing else tells what became of a machine.
type MachineState string

// The states of a machine, in the order in which a deploy that goes well passes through them.
const (
	MachineWaiting    MachineState = "waiting"    // selected; nothing has begun on it
	MachineStaging    MachineState = "staging"    // the agent downloads, extracts and compares
	MachineStaged     MachineState = "staged"     // it waits for the confirmation
	MachineUpToDate   MachineState = "up_to_date" // staged, and everything that the upgrade brings is loaded already
	MachineArming     MachineState = "arming"
	MachineArmed      MachineState = "armed"
	MachineCommitting MachineState = "committing" // a commit was sent, or may have been
	MachineCommitted  MachineState = "committed"  // by the agent's word; its VM was not asked yet
	MachineVerified   MachineState = "verified"   // its VM was asked past the agent, and has loaded the upgrade
	MachineRecorded   MachineState = "recorded"   // verified, and current.json names the upgrade for it
)

// The ends of machines that do not run the upgrade, or of which nobody can say so. Only unknown may still turn out well.
const (
	MachineLeftOut              MachineState = "left_out" // runs no Elixir release
	MachineDown                 MachineState = "down"     // should run the release, and its VM did not run when it was staged
	MachineFailed               MachineState = "failed"   // before anything was suspended
	MachineStale                MachineState = "stale"    // its code changed after the plan
	MachineAborted              MachineState = "aborted"
	MachineExpired              MachineState = "expired"
	MachineRolledBack           MachineState = "rolled_back"
	MachineRolledBackWithLosses MachineState = "rolled_back_with_losses"
	MachineUnknown              MachineState = "unknown"   // a commit was sent, and no end was seen
	MachineRestarted            MachineState = "restarted" // after its commit: it runs what it booted
	MachineReplaced             MachineState = "replaced"  // after its commit, by another instance
	MachineStopped              MachineState = "stopped"   // after its commit, or on its way there
	MachineGone                 MachineState = "gone"      // destroyed
)

// beforeCommit are the ends that a machine can reach as long as no commit was sent to it.
var beforeCommit = []MachineState{MachineFailed, MachineStale, MachineAborted, MachineExpired, MachineGone}

// afterCommit are the ends of a machine that has committed, and is not what it was.
var afterCommit = []MachineState{MachineRestarted, MachineReplaced, MachineStopped, MachineGone}

// mayFollow lists what each state may turn into. A state that is missing is final.
var mayFollow = map[MachineState][]MachineState{
	MachineWaiting:    append([]MachineState{MachineStaging}, beforeCommit...),
	MachineStaging:    append([]MachineState{MachineStaged, MachineUpToDate, MachineLeftOut, MachineDown}, beforeCommit...),
	MachineStaged:     append([]MachineState{MachineArming}, beforeCommit...),
	MachineUpToDate:   append([]MachineState{MachineVerified}, afterCommit...),
	MachineArming:     append([]MachineState{MachineArmed}, beforeCommit...),
	MachineArmed:      append([]MachineState{MachineCommitting}, beforeCommit...),
	MachineCommitting: append([]MachineState{MachineCommitted, MachineUnknown, MachineRolledBack, MachineRolledBackWithLosses, MachineRestarted}, beforeCommit...),
	MachineUnknown:    append([]MachineState{MachineCommitted, MachineRolledBack, MachineRolledBackWithLosses, MachineRestarted}, beforeCommit...),
	MachineCommitted:  append([]MachineState{MachineVerified}, afterCommit...),
	MachineVerified:   append([]MachineState{MachineRecorded}, afterCommit...),
	MachineRecorded:   afterCommit,
}

// May reports whether a machine in state s may come to be in state next within the same attempt.
func (s MachineState) May(next MachineState) bool { return slices.Contains(mayFollow[s], next) }

// Final reports whether nothing follows the state within its attempt; what was staged again is another attempt.
func (s MachineState) Final() bool { return len(mayFollow[s]) == 0 }

// Upgraded reports whether the machine was verified to run the upgrade.
func (s MachineState) Upgraded() bool { return s == MachineVerified || s == MachineRecorded }

// Outcome is what the state says of a machine once its deploy has ended. upToDate: it ran the upgrade already when it was
// staged.
func (s MachineState) Outcome(upToDate bool) MachineOutcome {
	switch s {
	case MachineWaiting, MachineStaging, MachineStaged, MachineArming, MachineArmed:
		return OutcomeNotStarted
	case MachineVerified, MachineRecorded:
		if upToDate {
			return OutcomeUpToDate
		}
		return OutcomeCommitted
	case MachineCommitted:
		return OutcomeUnverified
	case MachineCommitting:
		return OutcomeUnknown
	default: // the ends have the same names
		return MachineOutcome(s)
	}
}

// MachineOutcome is one machine's end as results, history and JSON tell it.
type MachineOutcome string

// The outcomes of machines.
const (
	OutcomeCommitted            MachineOutcome = "committed"  // verified to run the upgrade
	OutcomeUpToDate             MachineOutcome = "up_to_date" // ran it already
	OutcomeUnverified           MachineOutcome = "unverified" // committed, and nobody could look at its VM
	OutcomeUnknown              MachineOutcome = "unknown"    // a commit was sent, and no end was seen
	OutcomeNotStarted           MachineOutcome = "not_started"
	OutcomeLeftOut              MachineOutcome = "left_out"
	OutcomeDown                 MachineOutcome = "down"
	OutcomeMachineFailed        MachineOutcome = "failed"
	OutcomeStale                MachineOutcome = "stale"
	OutcomeAborted              MachineOutcome = "aborted"
	OutcomeExpired              MachineOutcome = "expired"
	OutcomeRolledBack           MachineOutcome = "rolled_back"
	OutcomeRolledBackWithLosses MachineOutcome = "rolled_back_with_losses"
	OutcomeRestarted            MachineOutcome = "restarted"
	OutcomeReplaced             MachineOutcome = "replaced"
	OutcomeStopped              MachineOutcome = "stopped"
	OutcomeGone                 MachineOutcome = "gone"
)

// Upgraded reports whether a machine with this outcome runs the upgrade.
func (o MachineOutcome) Upgraded() bool { return o == OutcomeCommitted || o == OutcomeUpToDate }
