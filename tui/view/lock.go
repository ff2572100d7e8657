package view

import (
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// aliveWithin is how old the last renewal of a lock may be: a console renews it every ten seconds.
const aliveWithin = 25 * time.Second

// LifeSign tells whether a lock's owner is alive, by when it was renewed as far as was known at a time.
func LifeSign(held engine.LockInfo, known time.Time) cells.Span {
	silent := silence(held, known)
	if silent <= aliveWithin {
		return cells.New(cells.OK, "alive, renewed "+text.Seconds(silent)+" ago")
	}
	return cells.New(cells.Warn, "no sign of life for "+text.Seconds(silent)+": its console may be dead")
}

// silence is for how long a lock was not renewed.
func silence(held engine.LockInfo, known time.Time) time.Duration {
	return max(held.Lifetime()-held.ExpiresAt.Sub(known), 0)
}
