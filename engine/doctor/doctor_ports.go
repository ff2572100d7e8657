package doctor

import (
	"context"
	"time"

	"flydeploy/engine"
)

// Fleet is what the doctor asks of the Machines API; package fly implements it.
type Fleet interface {
	Machines(ctx context.Context) ([]engine.Machine, error)
	Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (engine.Output, error)
	// MayCreate is Fleet's.
	MayCreate(ctx context.Context) error
}
