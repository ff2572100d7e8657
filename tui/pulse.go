package tui

import (
	"time"

	"flydeploy/engine"
)

const (
	pulseEvery = 2 * time.Second // agents look as often
	maxPulse   = 64
)

// pulse is how busy all machines of a deploy were, by the times at which they told.
type pulse struct {
	busy  []int // percent, the mean of those that told within one time; the oldest first
	since int   // how many of them came after the commit
	begun time.Time
	sum   int
	told  int
}

// take takes in what one machine tells.
func (p *pulse) take(v *engine.Vitals, now time.Time) {
	if v == nil || v.Schedulers == nil {
		return
	}
	if p.told == 0 || now.Sub(p.begun) >= pulseEvery || now.Before(p.begun) {
		p.begun, p.sum, p.told = now, 0, 0
		if len(p.busy) == maxPulse {
			p.busy = append(p.busy[:0], p.busy[1:]...)
		}
		p.busy = append(p.busy, 0)
		if v.Before != nil {
			p.since = min(p.since+1, maxPulse)
		}
	}
	p.sum += *v.Schedulers
	p.told++
	p.busy[len(p.busy)-1] = p.sum / p.told
}
