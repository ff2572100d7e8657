package deploy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
)

// Fly suspends a machine that nobody asks for (auto_stop_machines = "suspend"), also while it is watched. Its VM has not ended: it is in
// the machine's memory with the upgrade, and goes on when the machine wakes. It is not unwell, and cannot be asked.

// wakesUpgraded says so.
const wakesUpgraded = "suspended: it goes on with the upgrade when it wakes"

// isSuspended reports whether the machine, as it is now, is the instance that was staged, and sleeps.
func (r *rollout) isSuspended(now engine.Machine) bool {
	return now.ID != "" && now.InstanceID == r.machine.InstanceID && now.State == engine.StateSuspended
}

// sleeps is which machines of a watch sleep, and for how long they have slept.
type sleeps struct {
	mu    sync.Mutex
	begun time.Time
	awoke map[*rollout]time.Time     // when it was last seen awake
	since map[*rollout]time.Time     // of one that sleeps
	slept map[*rollout]time.Duration // before that
}

func newSleeps(begun time.Time) *sleeps {
	return &sleeps{begun: begun, awoke: map[*rollout]time.Time{}, since: map[*rollout]time.Time{}, slept: map[*rollout]time.Duration{}}
}

// note takes down whether a machine sleeps, and gives it back. It may have slept since it was last seen awake.
func (s *sleeps) note(r *rollout, asleep bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, slept := s.since[r]
	switch {
	case asleep && !slept:
		s.since[r] = s.begun
		if at, seen := s.awoke[r]; seen {
			s.since[r] = at
		}
	case !asleep && slept:
		s.slept[r] += time.Since(since)
		delete(s.since, r)
	}
	if !asleep {
		s.awoke[r] = time.Now()
	}
	return asleep
}

// now reports whether a machine sleeps.
func (s *sleeps) now(r *rollout) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, asleep := s.since[r]
	return asleep
}

// has reports whether a machine sleeps or has slept.
func (s *sleeps) has(r *rollout) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, asleep := s.since[r]
	return asleep || s.slept[r] > 0
}

// awake is for how long a machine was watched that has not slept all the time.
func (s *sleeps) awake(r *rollout) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	watched := time.Since(s.begun) - s.slept[r]
	if since, asleep := s.since[r]; asleep {
		watched -= time.Since(since)
	}
	return max(watched, 0)
}

// hasFallenAsleep reports whether a machine that has not answered sleeps.
func (w *watch) hasFallenAsleep(ctx context.Context, r *rollout) bool {
	now, err := w.glance(ctx)
	return err == nil && r.isSuspended(now[r.machine.ID]) && w.sleeps.note(r, true)
}

// shown is what the watch of a machine has shown that was well whenever it was asked: not much, if it has slept instead.
func (w *watch) shown(r *rollout) engine.Health {
	if w.sleeps.has(r) && w.sleeps.awake(r) < w.settings.Strategy.Bake {
		return engine.HealthUnknown
	}
	return engine.HealthHealthy
}

// unwatched fails if it is not known of any machine of the wave whether it is well, since they have slept, and nobody goes on all the same.
func (w *watch) unwatched() error {
	slept := filter(w.machines, func(r *rollout) bool { return r.health == engine.HealthUnknown })
	if len(slept) == 0 || w.promoted.Load() || anyOf(w.machines, func(r *rollout) bool { return r.health == engine.HealthHealthy }) {
		return nil
	}
	r := slept[0]
	return engine.NewProblem("health_unknown", fmt.Sprintf("it is not known whether it is well: %s was suspended, and watched for %s of %s", r.where(),
		text.Seconds(w.sleeps.awake(r)), text.Time(w.settings.Strategy.Bake)), nil,
		"Nothing more was started. The machine runs the upgrade when it wakes (`fly machine start "+r.machine.ID+"`): look at it with `fly logs`, then run `flydeploy hot --resume`.")
}

// sleepsSince tells that a machine sleeps that has committed: verified, it goes on with the upgrade when it wakes; otherwise nobody has asked
// its VM, which is an error.
func (r *rollout) sleepsSince() error {
	if r.isUnverified() {
		return r.noAnswer(r.state, engine.PhaseCheck, engine.NewProblem("unverified", "it was suspended before its VM could tell what it runs", nil,
			"Start it (`fly machine start "+r.machine.ID+"`), then run `flydeploy hot --resume`."))
	}
	r.emit(engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusDone, Text: wakesUpgraded})
	return nil
}

// sleeping says how many of the machines that run an upgrade are suspended, "" for none.
func sleeping(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "; one of them is suspended, and goes on with it when it wakes"
	}
	return fmt.Sprintf("; %d of them are suspended, and go on with it when they wake", n)
}
