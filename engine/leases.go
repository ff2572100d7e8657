package engine

import (
	"context"
	"errors"
	"time"
)

// ErrLeased says that somebody else holds a machine's lease.
var ErrLeased = errors.New("somebody else holds the machine's lease")

// Leases keep others, such as a `fly deploy`, from changing machines while a deploy does. Package fly implements it.
type Leases interface {
	// TakeLease takes a machine's lease for ttl, and gives the nonce that renews and releases it; ErrLeased if somebody holds it.
	// description tells others what it is for.
	TakeLease(ctx context.Context, machineID, description string, ttl time.Duration) (nonce string, err error)
	// RenewLease makes the lease last for ttl from now on; ErrLeased if somebody else has it by now.
	RenewLease(ctx context.Context, machineID, nonce string, ttl time.Duration) error
	// ReleaseLease gives it back. It is not an error if it has expired.
	ReleaseLease(ctx context.Context, machineID, nonce string) error
}
