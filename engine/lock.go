package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"flydeploy/text"
)

// LockInfo is the body of releases/<app>-deploy.lock.
type LockInfo struct {
	LockedBy     string    `json:"locked_by"`
	Host         string    `json:"host,omitempty"`
	LockedAt     time.Time `json:"locked_at"`
	ExpiresAt    time.Time `json:"expires_at"`
	DeploymentID string    `json:"deployment_id"` // the upgrade's ID
	// LifetimeMS is how long the lock lives after it was last written, in milliseconds; 0 where its writer did not say.
	LifetimeMS int64 `json:"own_time_ms,omitempty"`
	Released   bool  `json:"released,omitempty"`
	// Freeze is why nobody may deploy as long as this lock lives, which is never renewed; "" for the lock of a deploy.
	Freeze string `json:"freeze,omitempty"`
	// ETag is the object's version. With it an override names exactly the lock that was shown.
	ETag string `json:"-"`
	// Age is the time since it was last written: by the bucket's clock, or since we first saw it, whichever is longer.
	Age time.Duration `json:"-"`
}

// defaultLifetime is the lifetime of a lock that does not state one; it is fly_deploy's default.
const defaultLifetime = 5 * time.Minute

// Lifetime is how long the lock lives after it was last written. LockedAt and ExpiresAt are by its owner's clock, which may be
// hours off, so only their difference counts.
func (l *LockInfo) Lifetime() time.Duration {
	if l.LifetimeMS > 0 {
		return time.Duration(l.LifetimeMS) * time.Millisecond
	}
	if own := l.ExpiresAt.Sub(l.LockedAt); own > 0 {
		return own
	}
	return defaultLifetime
}

// ExpiresIn is the time until the lock expires unless its owner renews it.
func (l *LockInfo) ExpiresIn() time.Duration { return max(l.Lifetime()-l.Age, 0) }

// ByLocalClock gives the lock, to be shown, with LifetimeMS set and with ExpiresAt by this computer's clock.
func (l LockInfo) ByLocalClock() LockInfo {
	l.LifetimeMS = l.Lifetime().Milliseconds()
	l.ExpiresAt = time.Now().Add(l.ExpiresIn()).UTC().Truncate(time.Second)
	return l
}

// Holder names the owner of the lock and, unless that is said already, the computer: "ann on laptop".
func (l *LockInfo) Holder() string {
	if l.Host != "" && !strings.HasSuffix(l.LockedBy, "@"+l.Host) {
		return l.LockedBy + " on " + l.Host
	}
	return l.LockedBy
}

// Ends is when the lock ends unless its owner renews it, by this computer's clock.
func (l *LockInfo) Ends() time.Time { return time.Now().Add(l.ExpiresIn()) }

// Frozen reports whether the lock is a freeze: no deploy holds it.
func (l *LockInfo) Frozen() bool { return l.Freeze != "" }

// EndFormat tells the end of a freeze, which may be days away.
const EndFormat = "Mon 2 Jan 15:04 MST"

// SinceFormat tells since when a lock is held, by this computer's clock.
const SinceFormat = "2 Jan 15:04:05 MST"

// DescribeFreeze says who has frozen deploys, until when and why, for a line of text.
func (l *LockInfo) DescribeFreeze() string {
	return fmt.Sprintf("deploys are frozen by %s until %s (in %s): %s", l.Holder(), l.Ends().Local().Format(EndFormat), text.Seconds(l.ExpiresIn()), l.Freeze)
}

// LockHeld is somebody else's lock, as an event shows it.
type LockHeld struct {
	LockInfo
	ETag        string `json:"etag"`
	ExpiresInMS int64  `json:"expires_in_ms"` // unless its owner renews the lock
}

// LockHeldError is the error of Locks.Acquire and Locks.Break when somebody else holds the lock.
type LockHeldError struct{ Held LockInfo }

// Error implements error.
func (e *LockHeldError) Error() string {
	if e.Held.Frozen() {
		return e.Held.DescribeFreeze()
	}
	if e.Held.DeploymentID == "" {
		return "the deploy lock is held by " + e.Held.LockedBy
	}
	return fmt.Sprintf("the deploy lock is held by %s since %s (deploy %s); it expires in %s unless it is renewed", e.Held.Holder(),
		e.Held.LockedAt.Local().Format(SinceFormat), e.Held.DeploymentID, text.Seconds(e.Held.ExpiresIn()))
}

// Lock is a lock that we hold. Package s3 implements it with conditional writes.
type Lock interface {
	// Renew makes the lock live for its whole lifetime from now on; ErrLockLost if it is no longer ours.
	Renew(ctx context.Context) error
	// Release frees the lock if it is still ours, and otherwise leaves it alone.
	Release(ctx context.Context) error
}

// Locks takes, shows and breaks the deploy lock of one app.
type Locks interface {
	// Acquire takes the lock for ttl; *LockHeldError if somebody else holds it. override is the ETag of a lock that may be
	// replaced, or "".
	Acquire(ctx context.Context, owner, deploymentID string, ttl time.Duration, override string) (Lock, error)
	// Freeze takes the lock under an id of its own for a time in which nobody is to deploy, and why; *LockHeldError if somebody holds it.
	Freeze(ctx context.Context, owner, id, why string, d time.Duration) error
	// Current gives the lock that is held now; ErrNotFound if there is none.
	Current(ctx context.Context) (LockInfo, error)
	// Break frees somebody else's lock, but only its version etag; by, who breaks it, goes into the object. *LockHeldError if
	// it has another version by now, ErrNotFound if no lock is held.
	Break(ctx context.Context, etag, by string) error
}
