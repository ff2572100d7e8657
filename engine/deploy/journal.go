package deploy

import (
	"context"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/run"
)

// startJournal begins the record of the deploy that has just taken the lock.
func (p *Pipeline) startJournal(ctx context.Context, overrode *engine.LockInfo) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.journal = &record.Journal{
		Records: p.Target.Storage.Records, Id: p.Upgrade.ID, Rec: p.rec, Started: p.started, Piece: 1,
		Stop: stop, Ending: make(chan struct{}),
		Head: record.Record{V: engine.EventVersion, Select: p.settings.Select, Overrode: overrode},
	}
	p.journal.Done.Go(func() {
		if err := run.Guarded(func() error { p.journal.Run(ctx); return nil }); err != nil {
			p.rec.Log(engine.PhaseResults, err.Error())
		}
	})
}
