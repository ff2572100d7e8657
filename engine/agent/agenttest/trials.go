package agenttest

import (
	"context"
	"fmt"
	"time"

	"flydeploy/engine"
)

// TryConditions implements engine.Trials.
func (s *Storage) TryConditions(ctx context.Context) error {
	return tell(ctx, s.world, s.about(TryConditions, ""), func() error { return nil })
}

// Skew implements engine.Trials.
func (s *Storage) Skew(ctx context.Context) (time.Duration, error) {
	return ask(ctx, s.world, s.about(ReadSkew, ""), func() (time.Duration, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		return s.world.bucket.skew, nil
	})
}

// LastLock implements engine.Trials.
func (s *Storage) LastLock(ctx context.Context) (engine.LockInfo, error) {
	return ask(ctx, s.world, s.about(LastLock, ""), func() (engine.LockInfo, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		body, err := s.readLock()
		if err == nil && body.Released {
			err = fmt.Errorf("read the deploy lock: %w", engine.ErrNotFound)
		}
		if err != nil {
			return engine.LockInfo{}, err
		}
		return body.LockInfo, nil
	})
}
