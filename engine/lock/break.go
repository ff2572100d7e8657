package lock

import (
	"context"
	"errors"

	"flydeploy/engine"
)

// Break frees the lock that was shown, even if its owner has renewed it since. by says who breaks it.
func Break(ctx context.Context, locks engine.Locks, shown engine.LockInfo, by string) error {
	etag := shown.ETag
	for {
		err := locks.Break(ctx, etag, by)
		var other *engine.LockHeldError
		if !errors.As(err, &other) || shown.DeploymentID == "" || other.Held.DeploymentID != shown.DeploymentID {
			return err
		}
		etag = other.Held.ETag
	}
}
