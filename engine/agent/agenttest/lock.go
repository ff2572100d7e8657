package agenttest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
)

// lockBody is the object that the deploy lock is: package s3's.
type lockBody struct {
	engine.LockInfo
	Overrode   *engine.LockInfo `json:"overrode,omitempty"`
	ReleasedBy string           `json:"released_by,omitempty"`
	unreadable bool
}

// LockKey is the key of the deploy lock.
const LockKey = "releases/" + App + "-deploy.lock"

// held: a lock has expired once nobody has written it for its own time, by the bucket's clock or as far as this console has
// watched it.
func (l *lockBody) held() bool { return l.unreadable || !l.Released && l.Age <= l.Lifetime() }

// released is what is written over a lock that is given back.
func (l *lockBody) released(by string) lockBody {
	body := *l
	body.Released, body.ReleasedBy = true, by
	body.LockedAt, body.ExpiresAt = time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC()
	return body
}

// watched is since when the lock has been the version that it is, as one console knows it. The world's mutex guards it.
type watched struct {
	etag  string
	since time.Time
}

func (w *watched) age(etag string) time.Duration {
	if w.etag != etag {
		w.etag, w.since = etag, time.Now()
	}
	return time.Since(w.since)
}

func (s *Storage) readLock() (*lockBody, error) {
	o, err := s.world.bucket.read(LockKey)
	if err != nil {
		return nil, err
	}
	var body lockBody
	if err := json.Unmarshal(o.body, &body); err != nil || body.DeploymentID == "" && body.LockedBy == "" {
		body = lockBody{unreadable: true, LockInfo: engine.LockInfo{LockedBy: "somebody (the lock cannot be read)"}}
	}
	body.ETag, body.Age = o.etag, max(s.watched.age(o.etag), s.world.bucket.age(o)-time.Second)
	return &body, nil
}

func (s *Storage) writeLock(body lockBody, etag string) (string, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	o, err := s.world.bucket.replace(LockKey, etag, raw)
	if err != nil {
		return "", err
	}
	return o.etag, nil
}

var _ engine.Locks = (*Storage)(nil)

// Acquire implements engine.Locks.
func (s *Storage) Acquire(ctx context.Context, owner, id string, ttl time.Duration, override string) (engine.Lock, error) {
	return s.acquire(ctx, owner, id, "", ttl, override)
}

// Freeze implements engine.Locks.
func (s *Storage) Freeze(ctx context.Context, owner, id, why string, d time.Duration) error {
	_, err := s.acquire(ctx, owner, id, why, d, "")
	return err
}

func (s *Storage) acquire(ctx context.Context, owner, id, freeze string, ttl time.Duration, override string) (engine.Lock, error) {
	return ask(ctx, s.world, s.about(AcquireLock, id), func() (engine.Lock, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		seen, err := s.readLock()
		if errors.Is(err, engine.ErrNotFound) {
			seen = &lockBody{}
		} else if err != nil {
			return nil, err
		}
		held := seen.ETag != "" && seen.held()
		if held && seen.DeploymentID == id {
			return &lock{storage: s, body: *seen, ttl: ttl}, nil
		}
		if held && seen.ETag != override {
			return nil, &engine.LockHeldError{Held: seen.LockInfo}
		}
		now := s.world.bucket.now().Truncate(time.Microsecond)
		body := lockBody{LockInfo: engine.LockInfo{
			LockedBy: owner, Host: s.console, LockedAt: now, ExpiresAt: now.Add(ttl), DeploymentID: id, LifetimeMS: ttl.Milliseconds(), Freeze: freeze,
		}}
		if held {
			body.Overrode = &seen.LockInfo
		}
		if body.ETag, err = s.writeLock(body, seen.ETag); err != nil {
			return nil, err
		}
		return &lock{storage: s, body: body, ttl: ttl}, nil
	})
}

// Current implements engine.Locks.
func (s *Storage) Current(ctx context.Context) (engine.LockInfo, error) {
	return ask(ctx, s.world, s.about(CurrentLock, ""), func() (engine.LockInfo, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		body, err := s.readLock()
		if err != nil {
			return engine.LockInfo{}, err
		}
		if !body.held() {
			return engine.LockInfo{}, fmt.Errorf("read the deploy lock: %w", engine.ErrNotFound)
		}
		return body.LockInfo, nil
	})
}

// Break implements engine.Locks.
func (s *Storage) Break(ctx context.Context, etag, by string) error {
	return tell(ctx, s.world, s.about(BreakLock, ""), func() error {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		seen, err := s.readLock()
		switch {
		case err != nil:
			return err
		case seen.Released:
			return fmt.Errorf("release somebody's deploy lock: %w", engine.ErrNotFound)
		case seen.ETag != etag:
			return &engine.LockHeldError{Held: seen.LockInfo}
		}
		_, err = s.writeLock(seen.released(by), etag)
		return err
	})
}

// lock is a lock that was a console's when it was last written.
type lock struct {
	storage *Storage
	ttl     time.Duration
	body    lockBody
}

// Renew implements engine.Lock.
func (l *lock) Renew(ctx context.Context) error {
	return tell(ctx, l.storage.world, l.storage.about(RenewLock, l.body.DeploymentID), func() error {
		l.storage.world.mu.Lock()
		defer l.storage.world.mu.Unlock()
		if l.body.Released {
			return engine.ErrLockLost
		}
		next := l.body
		next.ExpiresAt = l.storage.world.bucket.now().Truncate(time.Microsecond).Add(l.ttl)
		return l.replace("renew the deploy lock", next)
	})
}

// Release implements engine.Lock.
func (l *lock) Release(ctx context.Context) error {
	return tell(ctx, l.storage.world, l.storage.about(ReleaseLock, l.body.DeploymentID), func() error {
		l.storage.world.mu.Lock()
		defer l.storage.world.mu.Unlock()
		if l.body.Released {
			return nil
		}
		err := l.replace("release the deploy lock", l.body.released(""))
		if errors.Is(err, engine.ErrLockLost) {
			return nil // another's is left alone
		}
		return err
	})
}

// replace writes the next version, unless the lock is another's by now.
func (l *lock) replace(op string, next lockBody) error {
	seen, err := l.storage.readLock()
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return fmt.Errorf("%s: %w: it was deleted", op, engine.ErrLockLost)
	case err != nil:
		return err
	case seen.DeploymentID != l.body.DeploymentID:
		return fmt.Errorf("%s: %w: %s has it now (deploy %s)", op, engine.ErrLockLost, cmp.Or(seen.LockedBy, "somebody"), seen.DeploymentID)
	case seen.Released:
		return fmt.Errorf("%s: %w: it was released by %s", op, engine.ErrLockLost, cmp.Or(seen.ReleasedBy, "somebody"))
	}
	if next.ETag, err = l.storage.writeLock(next, seen.ETag); err != nil {
		return err
	}
	l.body = next
	return nil
}
