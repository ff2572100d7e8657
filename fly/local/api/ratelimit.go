package api

import (
	"sync"

	"golang.org/x/time/rate"
)

// rateLimits are those of https://fly.io/docs/machines/api/working-with-machines-api/#rate-limits: for each action on
// each machine, or on the app, one request a second and three at once; for get five and ten.
type rateLimits struct {
	on bool
	mu sync.Mutex
	by map[[2]string]*rate.Limiter // action, machine
}

func newRateLimits(on bool) *rateLimits {
	return &rateLimits{on: on, by: map[[2]string]*rate.Limiter{}}
}

func (l *rateLimits) allow(action Action, machine string) bool {
	if !l.on {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := [2]string{action, machine}
	limiter := l.by[key]
	if limiter == nil {
		limiter = rate.NewLimiter(1, 3)
		if action == ActionGet {
			limiter = rate.NewLimiter(5, 10)
		}
		l.by[key] = limiter
	}
	return limiter.Allow()
}
