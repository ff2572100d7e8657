package engine

import "slices"

// MachineState is where one machine of a deploy stands. Outcome, exit code, summary, record and screens are functions of it;
// nothing else decides what has become of a machine.
type MachineState string

// The states of a machine, in the order of a deploy that goes well.
const (
	MachineWaiting    MachineState = "waiting"    // selected; nothing has begun
	MachineStaging    MachineState = "staging"    // the agent downloads, unpacks and compares
	MachineStaged     MachineState = "staged"     // waits for the confirmation
	MachineUpToDate   MachineState = "up_to_date" // staged; everything in the upgrade is loaded already
	MachineArming     MachineState = "arming"
	MachineArmed      MachineState = "armed"
	MachineCommitting MachineState = "committing" // a commit was or may have been sent
	MachineCommitted  MachineState = "committed"  // the agent says so; its VM was not asked yet
	MachineVerified   MachineState = "verified"   // its VM, asked past the agent, has loaded the upgrade
	MachineRecorded   MachineState = "recorded"   // verified, and current.json names the upgrade for it
	MachineUnhealthy  MachineState = "unhealthy"  // verified to run the upgrade, and it is not well
	MachineCold       MachineState = "cold"       // a cold deploy has given it the new image, or replaced it by a machine that has it
)

// The states of machines that do not run the upgrade, or may not. All are final except MachineUnknown, which a later look may
// resolve.
const (
	MachineLeftOut              MachineState = "left_out" // runs no Elixir release
	MachineDown                 MachineState = "down"     // should run the release, but its VM did not run when it was staged
	MachineFailed               MachineState = "failed"   // before anything was suspended
	MachineStale                MachineState = "stale"    // its code changed after the plan
	MachineAborted              MachineState = "aborted"
	MachineExpired              MachineState = "expired"
	MachineRolledBack           MachineState = "rolled_back"
	MachineRolledBackWithLosses MachineState = "rolled_back_with_losses"
	MachineUnknown              MachineState = "unknown"    // a commit was sent, but its end was not seen
	MachineRestarted            MachineState = "restarted"  // after its commit; it runs the code that it booted
	MachineReplaced             MachineState = "replaced"   // by another instance after its commit
	MachineStopped              MachineState = "stopped"    // after its commit, or on its way there
	MachineGone                 MachineState = "gone"       // destroyed
	MachineTakenBack            MachineState = "taken_back" // it ran the upgrade, which was not well, and runs again what it ran before
)

// beforeCommit lists how a machine can end before a commit was sent to it.
var beforeCommit = []MachineState{MachineFailed, MachineStale, MachineAborted, MachineExpired, MachineGone}

// afterCommit lists how a machine can end that has committed and then changed.
var afterCommit = []MachineState{MachineRestarted, MachineReplaced, MachineStopped, MachineGone}

// transitions lists the states that may follow each state. A state that is missing here is final.
var transitions = map[MachineState][]MachineState{
	MachineWaiting:    append([]MachineState{MachineStaging, MachineCold}, beforeCommit...),
	MachineStaging:    append([]MachineState{MachineStaged, MachineUpToDate, MachineLeftOut, MachineDown}, beforeCommit...),
	MachineStaged:     append([]MachineState{MachineArming}, beforeCommit...),
	MachineUpToDate:   append([]MachineState{MachineVerified, MachineTakenBack, MachineUnknown, MachineFailed}, afterCommit...),
	MachineArming:     append([]MachineState{MachineArmed}, beforeCommit...),
	MachineArmed:      append([]MachineState{MachineCommitting}, beforeCommit...),
	MachineCommitting: append([]MachineState{MachineCommitted, MachineUnknown, MachineRolledBack, MachineRolledBackWithLosses, MachineRestarted, MachineReplaced, MachineStopped}, beforeCommit...),
	MachineUnknown:    append([]MachineState{MachineCommitted, MachineRolledBack, MachineRolledBackWithLosses, MachineRestarted, MachineReplaced, MachineStopped}, beforeCommit...),
	MachineCommitted:  append([]MachineState{MachineVerified, MachineTakenBack, MachineUnknown}, afterCommit...),
	MachineVerified:   append([]MachineState{MachineRecorded, MachineUnhealthy, MachineTakenBack, MachineUnknown}, afterCommit...),
	MachineRecorded:   append([]MachineState{MachineUnhealthy, MachineTakenBack, MachineUnknown}, afterCommit...),
	MachineUnhealthy:  append([]MachineState{MachineTakenBack, MachineUnknown}, afterCommit...),
}

// CanBecome reports whether next may follow s within one attempt.
func (s MachineState) CanBecome(next MachineState) bool { return slices.Contains(transitions[s], next) }

// Final reports whether no state follows s within its attempt. Staging again is a new attempt.
func (s MachineState) Final() bool { return len(transitions[s]) == 0 }

// Upgraded reports whether the machine was verified to run the new code.
func (s MachineState) Upgraded() bool {
	return s == MachineVerified || s == MachineRecorded || s == MachineUnhealthy || s == MachineCold
}

// Outcome gives a machine's outcome if its deploy has ended in state s. upToDate says that it ran the upgrade already when it
// was staged.
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

// MachineOutcome is the end of one machine in results, history and JSON.
type MachineOutcome string

// The outcomes of machines.
const (
	OutcomeCommitted            MachineOutcome = "committed"  // verified to run the upgrade
	OutcomeUpToDate             MachineOutcome = "up_to_date" // ran the upgrade already
	OutcomeMachineUnhealthy     MachineOutcome = "unhealthy"  // runs the upgrade, and is not well
	OutcomeUnverified           MachineOutcome = "unverified" // committed, but its VM could not be asked
	OutcomeUnknown              MachineOutcome = "unknown"    // a commit was sent, but its end was not seen
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
	OutcomeTakenBack            MachineOutcome = "taken_back"
	OutcomeCold                 MachineOutcome = "cold" // runs the new image, by a cold deploy
)

// AsBefore reports whether a machine with this outcome runs what it ran before the deploy.
func (o MachineOutcome) AsBefore() bool {
	return slices.Contains([]MachineOutcome{
		OutcomeNotStarted, OutcomeMachineFailed, OutcomeStale, OutcomeAborted, OutcomeExpired, OutcomeRolledBack, OutcomeRolledBackWithLosses,
	}, o)
}

// Upgraded reports whether a machine with this outcome runs the new code.
func (o MachineOutcome) Upgraded() bool {
	return o == OutcomeCommitted || o == OutcomeUpToDate || o == OutcomeMachineUnhealthy || o == OutcomeCold
}
