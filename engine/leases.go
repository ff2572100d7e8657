package engine

import (
	"context"
	"errors"
	"time"
)

// ErrLeased says that somebody else holds a machine's lease.
var ErrLeased = errors.New("somebody else holds the machine's lease")

// ErrNoLease says that a lease has ended before it was renewed.
var ErrNoLease = errors.New("nobody holds the machine's lease")

// Leases keep others, such as a `fly deploy`, from changing machines while a deploy does. Package fly implements it.
type Leases interface {
	// TakeLease takes a machine's lease for ttl, and gives the nonce that renews and releases it; ErrLeased if somebody holds it,
	// and ErrUnknownOutcome if it may be ours without our knowing the nonce. description tells others what it is for.
	TakeLease(ctx context.Context, machineID, description string, ttl time.Duration) (nonce string, err error)
	// RenewLease makes the lease last for ttl from now on, and gives the nonce that is valid from now on; ErrLeased if somebody else has it
	// by now, ErrNoLease if nobody has.
	RenewLease(ctx context.Context, machineID, nonce, description string, ttl time.Duration) (valid string, err error)
	// ReleaseLease gives it back. It is not an error if it has expired.
	ReleaseLease(ctx context.Context, machineID, nonce string) error
}
