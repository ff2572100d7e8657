package engine

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// LockInfo is the body of releases/<app>-deploy.lock.
type LockInfo struct {
	LockedBy     string    `json:"locked_by"`
	Host         string    `json:"host,omitempty"`
	LockedAt     time.Time `json:"locked_at"`
	ExpiresAt    time.Time `json:"expires_at"`
	DeploymentID string    `json:"deployment_id"` // the upgrade id
	// OwnTimeMS is how long the lock lives after it was written last, milliseconds.
	OwnTimeMS int64 `json:"own_time_ms,omitempty"`
	Released  bool  `json:"released,omitempty"`
	// ETag is the object's version, by which an override names exactly the lock that was shown.
	ETag string `json:"-"`
	// Age is the time since it was written last, by the bucket's clock or as we have watched it, whichever is longer.
	Age time.Duration `json:"-"`
}

// usualOwnTime is that of a lock that does not tell: fly_deploy's default.
const usualOwnTime = 5 * time.Minute

// OwnTime is how long the lock lives after it was written last. Its times are those of its owner's clock, which may be
// hours off: only their difference counts.
func (l *LockInfo) OwnTime() time.Duration {
	if l.OwnTimeMS > 0 {
		return time.Duration(l.OwnTimeMS) * time.Millisecond
	}
	if own := l.ExpiresAt.Sub(l.LockedAt); own > 0 {
		return own
	}
	return usualOwnTime
}

// ExpiresIn is the time until the lock expires, unless its owner renews it.
func (l *LockInfo) ExpiresIn() time.Duration { return max(l.OwnTime()-l.Age, 0) }

// Here gives the lock with the end that it has by this computer's clock, to be shown.
func (l LockInfo) Here() LockInfo {
	l.OwnTimeMS = l.OwnTime().Milliseconds()
	l.ExpiresAt = time.Now().Add(l.ExpiresIn()).UTC().Truncate(time.Second)
	return l
}

// owner names who holds the lock, and where.
func (l *LockInfo) Owner() string {
	if l.Host != "" && !strings.HasSuffix(l.LockedBy, "@"+l.Host) {
		return l.LockedBy + " on " + l.Host
	}
	return l.LockedBy
}

// LockHeld is the lock of somebody else, as an event shows it.
type LockHeld struct {
	LockInfo
	ETag        string `json:"etag"`
	ExpiresInMS int64  `json:"expires_in_ms"` // unless its owner renews it
}

// LockHeldError is what Acquire answers when somebody else holds the lock.
type LockHeldError struct{ Held LockInfo }

func (e *LockHeldError) Error() string {
	if e.Held.DeploymentID == "" {
		return "the deploy lock is held by " + e.Held.LockedBy
	}
	return fmt.Sprintf("the deploy lock is held by %s since %s (deploy %s); it expires in %s unless it is renewed", e.Held.Owner(),
		e.Held.LockedAt.Format(time.RFC3339), e.Held.DeploymentID, e.Held.ExpiresIn().Round(time.Second))
}

// Lock is a lock that we hold. Package s3 implements it by conditional writes.
type Lock interface {
	// Renew moves the expiry to now plus the lock's time. ErrLockLost when it is no longer ours.
	Renew(ctx context.Context) error
	// Release frees the lock if it is still ours; another's is left alone.
	Release(ctx context.Context) error
}

// Locks acquires and shows the deploy lock of one app.
type Locks interface {
	// Acquire takes the lock, or answers *LockHeldError. override is the ETag of the lock that may be replaced, or "".
	Acquire(ctx context.Context, owner, deploymentID string, ttl time.Duration, override string) (Lock, error)
	// Current gives the lock that is held now; ErrNotFound when nobody holds one.
	Current(ctx context.Context) (LockInfo, error)
	// Break frees exactly the version etag of somebody's lock; by goes into the object. *LockHeldError when it is another
	// version by now, ErrNotFound when nobody holds one.
	Break(ctx context.Context, etag, by string) error
}
