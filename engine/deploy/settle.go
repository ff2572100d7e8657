package deploy

import (
	"context"
	"time"

	"flydeploy/engine/target"
)

// settling runs one step of a deploy's end. It has a time of its own, since the deploy's context may be cancelled already,
// and since one machine that does not answer must not take the others' time.
func (p *Pipeline) settling(ctx context.Context, step func(context.Context)) {
	bounded, cancel := p.endure(ctx, target.SettleWithin)
	defer cancel()
	step(bounded)
}

// endure gives a context that a stopped deploy does not end, only time; little time once the end is hurried.
func (p *Pipeline) endure(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	stop := context.AfterFunc(p.hurry, func() {
		timer := time.AfterFunc(target.HurryWithin, cancel)
		context.AfterFunc(bounded, func() { timer.Stop() })
	})
	return bounded, func() { stop(); cancel() }
}
