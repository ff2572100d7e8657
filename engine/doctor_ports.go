package engine

import (
	"context"
	"time"

	"flydeploy/engine/agent"
)

// Trials is what the doctor asks of a bucket, beyond what a deploy does with it. Package s3 implements it.
type Trials interface {
	// TryConditions proves with a throw-away object that the storage refuses writes whose condition does not hold.
	TryConditions(ctx context.Context) error
	// Skew is the storage's clock minus ours; 0 below a few seconds.
	Skew(ctx context.Context) (time.Duration, error)
	// LastLock gives the deploy lock that lies there, also an expired one; ErrNotFound for none, or a released one.
	LastLock(ctx context.Context) (LockInfo, error)
}

// DoctorFleet is what the doctor asks of the Machines API; package fly implements it.
type DoctorFleet interface {
	Machines(ctx context.Context) ([]Machine, error)
	Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (agent.Output, error)
	// MayCreate is Fleet's.
	MayCreate(ctx context.Context) error
}
