package doctor

import (
	"context"
	"time"

	"flydeploy/engine"
)

// DoctorFleet is what the doctor asks of the Machines API; package fly implements it.
type DoctorFleet interface {
	Machines(ctx context.Context) ([]engine.Machine, error)
	Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (engine.Output, error)
	// MayCreate is Fleet's.
	MayCreate(ctx context.Context) error
}
