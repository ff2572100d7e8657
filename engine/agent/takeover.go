package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"flydeploy/engine"
)

// TakeOver ends the agent of another upgrade in the VM, whose console is gone or has lost the lock: it is aborted, unless
// it is committing, which is waited for. The caller must hold the deploy lock. Gives the agent's last state.
func (e *BusyError) TakeOver(ctx context.Context, exec Exec, vm VM) (State, error) {
	if e.about.Boot != vm.Boot() || !validID.MatchString(e.about.ID) || !validDir.MatchString(e.about.Dir) ||
		!strings.HasSuffix(e.about.Dir, "/flydeploy-"+e.about.ID) {
		return e.State, fmt.Errorf("taking over from the agent of %s: it does not tell where it works: %w", e.ID, e)
	}
	s := &Session{exec: exec, vm: vm, id: e.about.ID, dir: e.about.Dir}
	command := s.Abort
	var seen int64
	for {
		status, err := command(ctx, seen)
		switch {
		case errors.Is(err, ErrGone):
			return e.State, nil
		case errors.Is(err, engine.ErrUnknownOutcome) && ctx.Err() == nil:
			continue
		case err != nil:
			return e.State, err
		}
		if status.State.Terminal() {
			return status.State, s.Finish(ctx)
		}
		command, seen = s.Wait, status.Seq
	}
}
