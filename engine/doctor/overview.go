package doctor

import (
	"context"
	"errors"
	"time"

	"flydeploy/engine"
)

// Look reads the fleet, the metadata and the lock. Only a fleet that cannot be listed is an error; if the bucket cannot be read,
// the overview's Storage says why. locks and records may be nil while the storage is not known.
func Look(ctx context.Context, app string, fleet engine.Fleet, locks engine.Locks, records engine.Current) (engine.Overview, error) {
	o := engine.Overview{App: app, At: time.Now()}
	machines, err := fleet.Machines(ctx)
	if err != nil {
		return o, err
	}
	o.Machines = machines
	if records == nil || locks == nil {
		return o, nil
	}
	if md, _, err := records.Metadata(ctx); err == nil {
		o.Metadata, o.Trial = &md, md.Trial()
		o.Stale = o.StaleMachines()
	} else if !errors.Is(err, engine.ErrNotFound) {
		o.Storage = engine.AsProblem(err)
		return o, nil
	}
	if l, err := locks.Current(ctx); err == nil {
		l = l.ByLocalClock()
		o.Lock = &l
	} else if !errors.Is(err, engine.ErrNotFound) {
		o.Storage = engine.AsProblem(err)
	}
	return o, nil
}
