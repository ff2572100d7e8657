package lock

import (
	"context"
	"errors"

	"flydeploy/engine"
)

// Break frees somebody's lock: the one that was shown, also where its owner has renewed it since.
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
