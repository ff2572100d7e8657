package engine

import (
	"context"
	"time"
)

const (
	settleWithin = 30 * time.Second // one step of settling
	hurryWithin  = time.Second      // one step, once the end may not take long: they are eight at the most
)

// settling runs one step of a deploy's end. It has a time of its own, since the deploy's context may be cancelled already,
// and since one machine that does not answer must not take the others' time.
func (p *pipeline) settling(ctx context.Context, step func(context.Context)) {
	bounded, cancel := p.endure(ctx, settleWithin)
	defer cancel()
	step(bounded)
}

// endure gives a context that a stopped deploy does not end, only time; little time once the end is hurried.
func (p *pipeline) endure(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	stop := context.AfterFunc(p.hurry, func() {
		timer := time.AfterFunc(hurryWithin, cancel)
		context.AfterFunc(bounded, func() { timer.Stop() })
	})
	return bounded, func() { stop(); cancel() }
}
