package deploy

import (
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// vitalsOf gives the vitals in an agent's status, with the health checks of its machine as Fly said last; nil if it has none.
func vitalsOf(s agent.Status, m engine.Machine) *engine.Vitals {
	now := vitalsIn(s.Vitals)
	if now == nil {
		return nil
	}
	now.ChecksPassed, now.ChecksTotal = m.ChecksPassed, m.ChecksTotal
	now.Before = vitalsIn(s.VitalsBefore)
	return now
}

func vitalsIn(v *agent.Vitals) *engine.Vitals {
	if v == nil {
		return nil
	}
	return &engine.Vitals{
		Memory: v.Memory, RunQueue: v.RunQueue, Processes: v.Processes, Mailbox: v.Mailbox, MailboxOf: v.MailboxOf,
		Schedulers: v.Schedulers, Crashes: v.Crashes, Restarts: v.Restarts,
	}
}

// vitals gives a machine's vitals now and before the commit.
func (w *watch) vitals(r *rollout) *engine.Vitals {
	w.mu.Lock()
	m, ok := w.listed[r.machine.ID]
	w.mu.Unlock()
	v := vitalsOf(r.status, r.machine)
	if v == nil {
		return nil
	}
	if v.Before != nil {
		v.Before.ChecksPassed, v.Before.ChecksTotal = r.machine.ChecksPassed, r.machine.ChecksTotal
	}
	if ok {
		v.ChecksPassed, v.ChecksTotal = m.ChecksPassed, m.ChecksTotal
	}
	return v
}

const (
	// vitalsEvery is how often the agents look.
	vitalsEvery = 2 * time.Second
	// vitalsOfEach is the time for each machine of a wave, so that those of all are at most 25 a second: they are recorded.
	vitalsOfEach = 40 * time.Millisecond
	// vitalsLater is how often vitals are told after the first minute, so that the record of a watch that is held stays small.
	vitalsLater = 10 * time.Second
)

// isDue reports whether a machine's vitals are to be told now, and remembers that they were.
func (w *watch) isDue(r *rollout) bool {
	every := max(vitalsEvery, time.Duration(len(w.machines))*vitalsOfEach)
	if time.Since(w.begun) > time.Minute {
		every = max(every, vitalsLater)
	}
	if r.status.Vitals == nil || time.Since(r.toldVitals) < every-vitalsEvery/2 {
		return false
	}
	r.toldVitals = time.Now()
	return true
}

// failingSince names a check that fails now and did not before, "" for none.
func failingSince(before, now engine.Machine) string {
	for _, name := range now.ChecksFailing {
		if !slices.Contains(before.ChecksFailing, name) {
			return name
		}
	}
	return ""
}
