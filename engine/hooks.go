package engine

import "context"

// Moment is a point of a deploy at which a command of the operator's is run: a key of [hooks] in flydeploy.toml.
type Moment string

// The moments. A command of MomentBeforeBuild or MomentBeforeCommit that fails ends the deploy before anything is suspended.
const (
	MomentBeforeBuild  Moment = "before_build"  // of an image; not where there is one
	MomentPlanned      Moment = "planned"       // also of a dry run
	MomentBeforeCommit Moment = "before_commit" // the plan is confirmed
	MomentAfterCommit  Moment = "after_commit"  // machines run the upgrade, and that is recorded
	MomentUnhealthy    Moment = "unhealthy"     // it is not well; what becomes of it is decided meanwhile
	MomentEnded        Moment = "ended"         // however it has ended
)

// Moments lists them in the order of a deploy.
var Moments = []Moment{MomentBeforeBuild, MomentPlanned, MomentBeforeCommit, MomentAfterCommit, MomentUnhealthy, MomentEnded}

// MomentEvent is what such a command reads, as one line of JSON. It has what is known at its moment.
type MomentEvent struct {
	V        int             `json:"v"`
	Type     string          `json:"type"` // "hook"
	Hook     Moment          `json:"hook"`
	Upgrade  Upgrade         `json:"upgrade"`
	Plan     *Plan           `json:"plan,omitempty"`     // with planned and before_commit
	Machines []MachineResult `json:"machines,omitempty"` // with after_commit and unhealthy
	Problem  *Problem        `json:"problem,omitempty"`  // with unhealthy: what is not well
	Result   *Result         `json:"result,omitempty"`   // with ended
}

// Hooks are the operator's commands, and the address to which the outcome is posted. Package hooks implements it.
type Hooks interface {
	// Run runs the command of an event's moment, if there is one, and gives what it prints to log. Its time is limited.
	Run(ctx context.Context, e MomentEvent, log func(line string)) error
	// Post posts the outcome, if somebody wants it. It tries again while ctx lives.
	Post(ctx context.Context, r Result) error
}
