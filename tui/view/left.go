package view

import (
	"time"

	"flydeploy/engine"
	"flydeploy/text"
)

// LeftBehind says what stayed behind of a deploy, until when, and what ends it now if anything does.
func LeftBehind(l engine.Left, now time.Time) string {
	what := text.Line(l.What)
	switch l.What {
	case engine.LeftLock:
		what = "the deploy lock was not released: it"
	case engine.LeftAgent:
		what = "an agent may be left on machine " + text.Line(l.Machine) + ": it"
	case engine.LeftTemporary:
		what = "the temporary machine " + text.Line(l.Machine) + " was not destroyed: it"
	case engine.LeftLease:
		what = "our lease of machine " + text.Line(l.Machine) + " was not released, and keeps others from changing it: it"
	}
	what += " ends by itself by " + When(l.EndsAt, now)
	if l.EndNow != "" {
		what += "; at once with `" + text.Line(l.EndNow) + "`"
	}
	return what
}
