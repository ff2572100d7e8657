package plain

import (
	"context"

	"flydeploy/engine"
)

// Acts are what a console can do for an app besides deploying it, as the commands of the same names do; nil ones are not offered.
type Acts struct {
	// Doctor makes all checks, and tells each as it ends. Its error is that ctx has ended.
	Doctor func(ctx context.Context, tell func(engine.Check)) error
	// Withdraw, Release and Freeze look at what there is, and change nothing: they give the change that the operator is asked about.
	// end is when a freeze ends, as it is typed: 2h, 18:00, "2026-11-28 08:00".
	Withdraw func(ctx context.Context, message string) (Change, error)
	Release  func(ctx context.Context) (Change, error)
	Freeze   func(ctx context.Context, why, end string) (Change, error)
}

// Change waits for the operator's agreement.
type Change struct {
	Question string // what it does, in lines
	// Make changes what the question was about, or nothing if that has changed since, and says what was done. It is nil where there is
	// nothing to change.
	Make func(ctx context.Context) (done string, err error)
}
