package deploy

import (
	"context"
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/run"
	"flydeploy/text"
)

// list lists the fleet until the end of the bake time, and then once more: a machine that has changed is not well at once, one whose
// checks fail if they still do at the end. A fleet that cannot be listed is listed again for as long as one machine may take.
func (w *watch) list(ctx context.Context) error {
	for ctx.Err() == nil {
		over := w.over()
		w.tell(over)
		now, err := w.ports.Fleet.Machines(ctx)
		switch {
		case err == nil:
			w.look(engine.ByID(now))
			if over > 0 {
				return nil
			}
		case over > w.settings.Timeout:
			return fmt.Errorf("list machines after a wave: %w", err)
		}
		if over > 0 {
			_ = run.Wait(ctx, lookAgainAfter)
		} else {
			_ = run.Wait(w.baking, lookAgainAfter)
		}
	}
	return nil
}

// look looks at the machines as Fly lists them.
func (w *watch) look(now map[string]engine.Machine) {
	w.mu.Lock()
	w.listed = now
	w.mu.Unlock()
	w.failing = map[*rollout]*engine.Problem{}
	for _, r := range w.machines {
		m := now[r.machine.ID]
		switch {
		case w.isLost(r): // what runs there now was not upgraded
		case w.sleeps.note(r, r.isSuspended(m)): // it goes on with the upgrade when it wakes
		case m.State != engine.StateStarted:
			w.lose(r, "it is "+currentState(m))
		case m.InstanceID != r.machine.InstanceID:
			w.lose(r, "another instance has replaced it")
		case failingSince(r.machine, m) != "":
			w.failing[r] = notWell(fmt.Sprintf("its health check %s fails, and passed before the upgrade", failingSince(r.machine, m)))
		case m.ChecksPassed < r.machine.ChecksPassed:
			w.failing[r] = notWell(fmt.Sprintf("%d of %s pass; before the upgrade, %d did", m.ChecksPassed, text.Counted(m.ChecksTotal, "check"), r.machine.ChecksPassed))
		}
	}
}

// lose says that a machine's VM has ended, and how, once. So many of them as may fail do not end the watch, unless that is the whole wave.
func (w *watch) lose(r *rollout, how string) {
	p := notWell(how)
	w.mu.Lock()
	if w.gone[r] != nil {
		w.mu.Unlock()
		return
	}
	w.gone[r] = p
	tolerated := len(w.gone) <= w.mayFail && len(w.gone) < len(w.machines)
	w.mu.Unlock()
	if !tolerated {
		w.judge(r, p)
	}
}

// isLost reports whether a machine's VM has ended.
func (w *watch) isLost(r *rollout) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone[r] != nil
}

// endOf gives the state of a machine whose VM has ended, by what Fly said of it last.
func (w *watch) endOf(r *rollout) engine.MachineState {
	if m := w.listed[r.machine.ID]; w.listed != nil && !r.isSameInstance(m) {
		return r.becomes(m)
	}
	return engine.MachineRestarted
}
