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
)

const (
	// lockAttempts bounds how often a lock that changes hands is looked at again.
	lockAttempts  = 10
	lockPause     = 100 * time.Millisecond // mean pause between them
	settleTimeout = 10 * time.Second       // for looking after a write that nobody waits for any more
)

// lockBody is the object releases/<app>-deploy.lock. fly_deploy reads the fields of LockInfo.
type lockBody struct {
	engine.LockInfo
	// Overrode names whose lock was taken away by force, ReleasedBy who released somebody else's.
	Overrode   *engine.LockInfo `json:"overrode,omitempty"`
	ReleasedBy string           `json:"released_by,omitempty"`
	// unreadable: somebody wrote something that is no lock of ours. It counts as held and never expires.
	unreadable bool
}

// clockStep is the resolution of Last-Modified.
const clockStep = time.Second

// held: no lock expires by what it says of times. Its owner's clock may be hours off, so it is expired once nobody has
// written it for its own time: by the bucket's clock alone, or as far as we have watched it.
func (l *lockBody) held() bool { return l.unreadable || !l.Released && l.Age <= l.OwnTime() }

// watched remembers since when the lock has been the version that it is, on the monotonic clock of this computer.
type watched struct {
	mu    sync.Mutex
	etag  string
	since time.Time
}

func (w *watched) age(etag string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if etag != w.etag {
		w.etag, w.since = etag, time.Now()
	}
	return time.Since(w.since)
}

// Current implements engine.Locks.
func (b *Bucket) Current(ctx context.Context) (engine.LockInfo, error) {
	body, err := b.readLock(ctx)
	if err != nil {
		return engine.LockInfo{}, err
	}
	if !body.held() {
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
	body.ETag, body.Age = found.etag, max(b.watched.age(found.etag), found.age-clockStep)
	return &body, nil
}

func (b *Bucket) writeLock(ctx context.Context, op string, body lockBody, etag string) (string, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	return b.put(ctx, op, b.lockKey(), jsonType, raw, replaces(etag))
}

// errMeanwhile says that somebody else wrote the lock between our read and our write.
var errMeanwhile = errors.New("somebody else wrote the lock at the same time")

// Acquire implements engine.Locks. A lock that is there already under this deploymentID is ours: the answer to the
// write that made it was lost.
func (b *Bucket) Acquire(ctx context.Context, owner, deploymentID string, ttl time.Duration, override string) (
	engine.Lock, error,
) {
	// The pauses are random, so that consoles that collide once do not do so again and again.
	pauses := &backoff.ExponentialBackOff{InitialInterval: lockPause, RandomizationFactor: 0.5, Multiplier: 1, MaxInterval: lockPause}
	l, err := backoff.Retry(ctx, func() (engine.Lock, error) {
		l, err := b.tryAcquire(ctx, b.newLock(owner, deploymentID, ttl), override)
		if errors.Is(err, errMeanwhile) {
			return nil, err
		}
		return l, backoff.Permanent(err)
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(lockAttempts))
	switch {
	case errors.Is(err, errMeanwhile):
		return nil, engine.NewProblem("lock_busy", opAcquire+": other deploys keep taking and releasing it", nil,
			"Find out who else is deploying, and run again.")
	case err != nil:
		return nil, err
	}
	return l, nil
}

const opAcquire = "take the deploy lock"

// tryAcquire writes body as the lock if nobody holds one, or exactly the version override. It fails with errMeanwhile when
// another write came first.
func (b *Bucket) tryAcquire(ctx context.Context, body lockBody, override string) (engine.Lock, error) {
	seen, err := b.readLock(ctx)
	if isNotFound(err) {
		seen = &lockBody{}
	} else if err != nil {
		return nil, err
	}
	ttl := body.OwnTime()
	switch held := seen.ETag != "" && seen.held(); {
	case held && seen.DeploymentID == body.DeploymentID:
		return b.proven(ctx, &lock{bucket: b, body: *seen, ttl: ttl})
	case held && seen.ETag != override:
		return nil, &engine.LockHeldError{Held: seen.LockInfo}
	case held:
		body.Overrode = &seen.LockInfo
	}
	body.ETag, err = b.writeLock(ctx, opAcquire, body, seen.ETag)
	l := &lock{bucket: b, body: body, ttl: ttl}
	switch {
	case err == nil:
		return b.proven(ctx, l)
	case errors.Is(err, engine.ErrConflict):
		return nil, errMeanwhile
	}
	return b.settle(ctx, l, err)
}

func (b *Bucket) newLock(owner, deploymentID string, ttl time.Duration) lockBody {
	now := b.clock.now()
	return lockBody{LockInfo: engine.LockInfo{
		LockedBy: owner, Host: b.host, LockedAt: now, ExpiresAt: now.Add(ttl), DeploymentID: deploymentID, OwnTimeMS: ttl.Milliseconds(),
	}}
}

// proven makes sure, once, that the storage refuses writes whose condition does not hold. Otherwise anybody could write
// over the lock, and it is given back.
func (b *Bucket) proven(ctx context.Context, l *lock) (engine.Lock, error) {
	if b.conditional.Load() {
		return l, nil
	}
	for header, c := range map[string]condition{"If-None-Match": {create: true}, "If-Match": {ifMatch: noSuchETag}} {
		raw, err := json.Marshal(l.body)
		if err == nil {
			_, err = b.put(ctx, "prove that writes are conditional", b.lockKey(), jsonType, raw, c)
		}
		if errors.Is(err, engine.ErrConflict) {
			continue
		}
		if err == nil {
			err = b.ignores(header)
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		return nil, errors.Join(err, l.Release(bounded))
	}
	b.conditional.Store(true)
	return l, nil
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
		return nil // the echo of our own write, whose answer was lost
	}
	return &engine.LockHeldError{Held: seen.LockInfo}
}

// released is the body with which a lock is given back. LockedAt is set back to 1970 because fly_deploy reckons a lock's
// age from it.
func (l *lockBody) released() lockBody {
	body := *l
	body.Released = true
	body.LockedAt, body.ExpiresAt = time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC()
	return body
}

// settle finds out whether a write without an answer made the lock ours. A caller that has given up gets none, and
// nothing is left behind.
func (b *Bucket) settle(ctx context.Context, l *lock, cause error) (engine.Lock, error) {
	looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	seen, err := b.readLock(looking)
	if err != nil || seen.DeploymentID != l.body.DeploymentID || seen.Released {
		return nil, cause
	}
	l.body = *seen
	if ctx.Err() == nil {
		return b.proven(ctx, l)
	}
	return nil, errors.Join(cause, l.Release(looking))
}

// lock is a lock that was ours when it was last written. body.ETag names that version.
type lock struct {
	bucket *Bucket
	ttl    time.Duration

	mu   sync.Mutex
	body lockBody
}

// Renew implements engine.Lock. After an error that is not engine.ErrLockLost the next Renew finds out what happened.
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

// Release implements engine.Lock. The object stays, marked as released: a DELETE could not be made conditional on all
// servers, and would then remove the lock of whoever came next.
func (l *lock) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.body.Released {
		return nil
	}
	err := l.replace(ctx, "release the deploy lock", l.body.released())
	if errors.Is(err, engine.ErrLockLost) {
		return nil // another's is left alone
	}
	return err
}

// replace writes the next version over ours. A conflict may be the echo of a write of our own whose answer was lost, so
// it reads back before it says that the lock was lost.
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
			return fmt.Errorf("%s: %w: %s has it now (deploy %s)", op, engine.ErrLockLost, cmp.Or(seen.LockedBy, "somebody"), seen.DeploymentID)
		}
		l.body.ETag = seen.ETag
		if seen.Released == next.Released && seen.ExpiresAt.Equal(next.ExpiresAt) {
			l.body = *seen
			return nil
		}
		if seen.Released {
			return fmt.Errorf("%s: %w: it was released by %s", op, engine.ErrLockLost, cmp.Or(seen.ReleasedBy, "somebody"))
		}
	}
	return fmt.Errorf("%s: %w", op, engine.ErrConflict)
}
