package agenttest

import (
	"slices"
	"time"

	"flydeploy/engine/agent"
)

// toldAfter is how soon an agent tells what has crashed since the commit.
const toldAfter = 300 * time.Millisecond

// crash counts crashes of a kind: before the commit, or since.
func (a *process) crash(c agent.Crash) {
	i := slices.IndexFunc(a.crashes, func(other agent.Crash) bool {
		return other.Module == c.Module && other.Exception == c.Exception
	})
	if i < 0 {
		first := c
		first.Count, first.Before = 0, 0
		i, a.crashes = len(a.crashes), append(a.crashes, first)
	}
	if a.committed.IsZero() {
		a.crashes[i].Before += c.Count
		return
	}
	a.crashes[i].Count += c.Count
	a.crashed += c.Count
	a.later(toldAfter, a.publish)
}

// tellWatch puts what has crashed into the next status, after a commit.
func (a *process) tellWatch(at time.Time) {
	if a.state != agent.Committed {
		return
	}
	w := &agent.Watch{BeforeMS: a.committed.Sub(a.begun).Milliseconds(), AfterMS: at.Sub(a.committed).Milliseconds(), Crashes: []agent.Crash{}}
	for _, c := range a.crashes {
		for _, other := range a.crashes {
			if other.Module == c.Module && other.Exception != c.Exception {
				c.Others += other.Before
			}
		}
		w.Crashes = append(w.Crashes, c)
		w.CrashesTotal += c.Count
	}
	w.Kinds = len(w.Crashes)
	b := a.world.behaviourOf(a.machine)
	w.Queues, w.Supervisors = b.Queues, b.Supervisors
	a.next.Vitals, a.next.VitalsBefore = b.Vitals, b.Vitals
	a.next.Watch = w
}
