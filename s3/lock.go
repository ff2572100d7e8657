package s3

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"flydeploy/engine"
	"flydeploy/text"
)

const (
	// lockAttempts bounds how often one operation tries again because somebody else wrote the lock.
	lockAttempts  = 10
	lockPause     = 100 * time.Millisecond // mean pause between attempts
	settleTimeout = 10 * time.Second       // for checking or undoing a write after the caller has given up
	maxLockText   = 200                    // runes of each text in a lock
)

// lockBody is the object releases/<app>-deploy.lock. fly_deploy reads the fields of LockInfo.
type lockBody struct {
	engine.LockInfo
	// Overrode is the lock that this one replaced by force. ReleasedBy is who released a lock that was not theirs.
	Overrode   *engine.LockInfo `json:"overrode,omitempty"`
	ReleasedBy string           `json:"released_by,omitempty"`
	// unreadable: the object does not have the form of a lock. It counts as held and never expires.
	unreadable bool
}

// clockStep is the resolution of Last-Modified.
const clockStep = time.Second

// isHeld ignores the times that the lock states, since its owner's clock may be hours off. A lock has expired once nobody has
// written it for its own lifetime, measured by the bucket's clock alone or by how long this process has watched it.
func (l *lockBody) isHeld() bool { return l.unreadable || !l.Released && l.Age <= l.Lifetime() }

// clean makes the texts of a lock that others wrote fit to be shown.
func (l *lockBody) clean() {
	infos := []*engine.LockInfo{&l.LockInfo}
	if l.Overrode != nil {
		infos = append(infos, l.Overrode)
	}
	texts := []*string{&l.ReleasedBy}
	for _, info := range infos {
		texts = append(texts, &info.LockedBy, &info.Host, &info.DeploymentID, &info.Freeze)
	}
	for _, t := range texts {
		*t = text.Shorten(text.Line(*t), maxLockText)
	}
}

// versionAge remembers since when an object has had its current version, by this computer's monotonic clock.
type versionAge struct {
	mu    sync.Mutex
	etag  string
	since time.Time
}

func (v *versionAge) current() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.etag
}

func (v *versionAge) of(etag string) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if etag != v.etag {
		v.etag, v.since = etag, time.Now()
	}
	return time.Since(v.since)
}

// Current implements engine.Locks.
func (b *Bucket) Current(ctx context.Context) (engine.LockInfo, error) {
	body, err := b.readLock(ctx)
	if err != nil {
		return engine.LockInfo{}, err
	}
	if !body.isHeld() {
		return engine.LockInfo{}, fmt.Errorf("read the deploy lock: %w", engine.ErrNotFound)
	}
	return body.LockInfo, nil
}

func (b *Bucket) readLock(ctx context.Context) (*lockBody, error) {
	found, err := b.get(ctx, "read the deploy lock", b.lockKey(), maxDocument)
	if err != nil {
		return nil, err
	}
	var body lockBody
	if err := json.Unmarshal(found.body, &body); err != nil || body.DeploymentID == "" && body.LockedBy == "" {
		body = lockBody{unreadable: true, LockInfo: engine.LockInfo{LockedBy: "somebody (the lock cannot be read)"}}
	}
	body.clean()
	body.ETag, body.Age = found.etag, max(b.lockVersion.of(found.etag), found.age-clockStep)
	return &body, nil
}

func (b *Bucket) writeLock(ctx context.Context, op string, body lockBody, etag string) (string, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	return b.put(ctx, op, b.lockKey(), jsonType, raw, ifUnchanged(etag))
}

// errLockChanged says that somebody else wrote the lock between our read and our write.
var errLockChanged = errors.New("somebody else wrote the deploy lock at the same time")

// Acquire implements engine.Locks. A lock that already names this deploymentID belongs to the caller: an earlier write
// succeeded, but its answer was lost.
func (b *Bucket) Acquire(ctx context.Context, owner, deploymentID string, ttl time.Duration, override string) (
	engine.Lock, error,
) {
	return b.acquire(ctx, func() lockBody { return b.newLock(owner, deploymentID, ttl) }, override)
}

// Freeze implements engine.Locks. To those who know no freezes it is a lock with a long lifetime.
func (b *Bucket) Freeze(ctx context.Context, owner, id, why string, d time.Duration) error {
	_, err := b.acquire(ctx, func() lockBody {
		body := b.newLock(owner, id, d)
		body.Freeze = why
		return body
	}, "")
	return err
}

// acquire takes the lock with what body makes for each attempt.
func (b *Bucket) acquire(ctx context.Context, body func() lockBody, override string) (engine.Lock, error) {
	// Random pauses keep consoles that collided once from colliding again and again.
	pauses := &backoff.ExponentialBackOff{InitialInterval: lockPause, RandomizationFactor: 0.5, Multiplier: 1, MaxInterval: lockPause}
	versions := map[string]bool{}
	l, err := backoff.Retry(ctx, func() (engine.Lock, error) {
		l, err := b.tryAcquire(ctx, body(), override)
		if errors.Is(err, errLockChanged) {
			versions[b.lockVersion.current()] = true
			return nil, err
		}
		return l, backoff.Permanent(err)
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(lockAttempts))
	switch {
	case errors.Is(err, errLockChanged) && len(versions) == 1: // nobody has changed it
		return nil, b.errRefuses()
	case errors.Is(err, errLockChanged):
		return nil, engine.NewProblem("lock_busy", opAcquire+": other deploys keep taking and releasing it", nil,
			"Find out who else is deploying, and run again.")
	case err != nil:
		return nil, err
	}
	return l, nil
}

const opAcquire = "take the deploy lock"

// tryAcquire writes body as the lock if the lock is free, or if it is the version override. The error is errLockChanged if
// another write came first.
func (b *Bucket) tryAcquire(ctx context.Context, body lockBody, override string) (engine.Lock, error) {
	seen, err := b.readLock(ctx)
	if isNotFound(err) {
		seen = &lockBody{}
	} else if err != nil {
		return nil, err
	}
	ttl := body.Lifetime()
	switch held := seen.ETag != "" && seen.isHeld(); {
	case held && seen.DeploymentID == body.DeploymentID:
		return b.requireConditions(ctx, &lock{bucket: b, body: *seen, ttl: ttl})
	case held && seen.ETag != override:
		return nil, &engine.LockHeldError{Held: seen.LockInfo}
	case held:
		body.Overrode = &seen.LockInfo
	}
	body.ETag, err = b.writeLock(ctx, opAcquire, body, seen.ETag)
	l := &lock{bucket: b, body: body, ttl: ttl}
	switch {
	case err == nil:
		return b.requireConditions(ctx, l)
	case errors.Is(err, engine.ErrConflict):
		return nil, errLockChanged
	}
	return b.resolve(ctx, l, err)
}

func (b *Bucket) newLock(owner, deploymentID string, ttl time.Duration) lockBody {
	now := b.clock.now()
	return lockBody{LockInfo: engine.LockInfo{
		LockedBy: owner, Host: b.host, LockedAt: now, ExpiresAt: now.Add(ttl), DeploymentID: deploymentID, LifetimeMS: ttl.Milliseconds(),
	}}
}

// requireConditions returns l if the storage refuses writes whose condition does not hold, and takes those whose does, which is tested once
// for each Bucket. Otherwise anybody could overwrite the lock, or nobody renew it, and it is released.
func (b *Bucket) requireConditions(ctx context.Context, l *lock) (engine.Lock, error) {
	if b.conditional.Load() {
		return l, nil
	}
	for header, c := range map[string]condition{"If-None-Match": {create: true}, "If-Match": {ifMatch: noSuchETag}} {
		raw, err := json.Marshal(l.body)
		if err == nil {
			_, err = b.put(ctx, "test conditional writes", b.lockKey(), jsonType, raw, c)
		}
		if errors.Is(err, engine.ErrConflict) {
			continue
		}
		if err == nil {
			err = b.errIgnores(header)
		}
		return nil, l.releaseAfter(ctx, err)
	}
	if err := b.writeAgain(ctx, l); err != nil {
		return nil, err
	}
	b.conditional.Store(true)
	return l, nil
}

// releaseAfter gives back a lock that cannot be used, and joins to the reason what went wrong with that.
func (l *lock) releaseAfter(ctx context.Context, reason error) error {
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	return errors.Join(reason, l.Release(detached))
}

// writeAgain writes a lock of ours as it is; where it cannot, the lock is not kept.
func (b *Bucket) writeAgain(ctx context.Context, l *lock) error {
	etag, err := b.writeLock(ctx, "test conditional writes", l.body, l.body.ETag)
	if err == nil {
		l.body.ETag = etag
		return nil
	}
	if !errors.Is(err, engine.ErrConflict) {
		return l.releaseAfter(ctx, err)
	}
	switch seen, err := b.readLock(ctx); {
	case err != nil:
		return l.releaseAfter(ctx, err)
	case seen.DeploymentID != l.body.DeploymentID:
		return &engine.LockHeldError{Held: seen.LockInfo}
	case seen.ETag != l.body.ETag: // a write of our own, whose answer was lost
		l.body.ETag = seen.ETag
		return nil
	}
	return errors.Join(b.errRefuses(), b.dropLock(ctx, l))
}

// dropLock removes a lock of ours from a storage that would never let anybody replace it.
func (b *Bucket) dropLock(ctx context.Context, l *lock) error {
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if seen, err := b.readLock(detached); err != nil || seen.DeploymentID != l.body.DeploymentID {
		return err
	}
	return b.Delete(detached, b.lockKey())
}

// Break implements engine.Locks.
func (b *Bucket) Break(ctx context.Context, etag, by string) error {
	const op = "release somebody's deploy lock"
	seen, err := b.readLock(ctx)
	switch {
	case err != nil:
		return err
	case seen.Released:
		return fmt.Errorf("%s: %w", op, engine.ErrNotFound)
	case seen.ETag != etag:
		return &engine.LockHeldError{Held: seen.LockInfo}
	}
	body := seen.released()
	body.ReleasedBy = by
	if _, err = b.writeLock(ctx, op, body, etag); !errors.Is(err, engine.ErrConflict) {
		return err
	}
	if seen, err = b.readLock(ctx); err != nil {
		return err
	}
	if seen.Released && seen.ReleasedBy == by {
		return nil // our own write, whose answer was lost
	}
	return &engine.LockHeldError{Held: seen.LockInfo}
}

// released is what is written to release a lock. LockedAt becomes 1970 because fly_deploy computes a lock's age from it.
func (l *lockBody) released() lockBody {
	body := *l
	body.Released = true
	body.LockedAt, body.ExpiresAt = time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC()
	return body
}

// resolve finds out whether a write whose answer was lost took the lock. If the caller has given up, the lock is released.
func (b *Bucket) resolve(ctx context.Context, l *lock, cause error) (engine.Lock, error) {
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	seen, err := b.readLock(detached)
	if err != nil || seen.DeploymentID != l.body.DeploymentID || seen.Released {
		return nil, cause
	}
	l.body = *seen
	if ctx.Err() == nil {
		return b.requireConditions(ctx, l)
	}
	return nil, errors.Join(cause, l.Release(detached))
}

// lock is a lock that was ours when we last wrote it. body.ETag is that version.
type lock struct {
	bucket *Bucket
	ttl    time.Duration

	mu   sync.Mutex
	body lockBody
}

// Renew implements engine.Lock. After any error but engine.ErrLockLost, the next Renew finds out whether the lock is still ours.
func (l *lock) Renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.body.Released {
		return engine.ErrLockLost
	}
	next := l.body
	next.ExpiresAt = l.bucket.clock.now().Add(l.ttl)
	return l.replace(ctx, "renew the deploy lock", next)
}

// Release implements engine.Lock. It marks the object as released. A DELETE would not be conditional on all servers, and could
// then remove the next owner's lock.
func (l *lock) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.body.Released {
		return nil
	}
	err := l.replace(ctx, "release the deploy lock", l.body.released())
	if errors.Is(err, engine.ErrLockLost) {
		return nil // it is somebody else's by now
	}
	return err
}

// replace writes the next version over ours. A conflict may come from a write of our own whose answer was lost, so the lock is
// read back before it is reported as lost.
func (l *lock) replace(ctx context.Context, op string, next lockBody) error {
	for range lockAttempts {
		etag, err := l.bucket.writeLock(ctx, op, next, l.body.ETag)
		if err == nil {
			next.ETag = etag
			l.body = next
			return nil
		}
		if !errors.Is(err, engine.ErrConflict) {
			return err
		}
		seen, err := l.bucket.readLock(ctx)
		switch {
		case isNotFound(err):
			return fmt.Errorf("%s: %w: it was deleted", op, engine.ErrLockLost)
		case err != nil:
			return err
		case seen.DeploymentID != l.body.DeploymentID:
			return fmt.Errorf("%s: %w: %s holds it now (deploy %s)", op, engine.ErrLockLost, cmp.Or(seen.LockedBy, "somebody else"), seen.DeploymentID)
		}
		l.body.ETag = seen.ETag
		if seen.Released == next.Released && seen.ExpiresAt.Equal(next.ExpiresAt) {
			l.body = *seen
			return nil
		}
		if seen.Released {
			return fmt.Errorf("%s: %w: it was released by %s", op, engine.ErrLockLost, cmp.Or(seen.ReleasedBy, "somebody else"))
		}
	}
	return fmt.Errorf("%s: %w", op, engine.ErrConflict)
}
