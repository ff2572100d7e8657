package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Session gives the agent of the other upgrade, whose console is gone. The caller must hold the deploy lock.
func (e *BusyError) Session(exec Exec, vm VM) (*Session, error) {
	if e.about.Boot != vm.Boot() || !validID(e.about.ID) || !validDir(e.about.Dir) ||
		!strings.HasSuffix(e.about.Dir, "/flydeploy-"+e.about.ID) {
		return nil, fmt.Errorf("taking over from the agent of %s: it does not tell where it works: %w", e.ID, e)
	}
	return &Session{exec: exec, vm: vm, id: e.about.ID, dir: e.about.Dir}, nil
}

// TakeOver ends the agent of another upgrade in the VM, whose console is gone or has lost the lock: it is aborted, unless
// it is committing, which is waited for. The caller must hold the deploy lock. Gives the agent's last state. After an
// engine.ErrUnknownOutcome the same call may be made again.
func (e *BusyError) TakeOver(ctx context.Context, exec Exec, vm VM) (State, error) {
	s, err := e.Session(exec, vm)
	if err != nil {
		return e.State, err
	}
	command := s.Abort
	var seen int64
	for {
		status, err := command(ctx, seen)
		switch {
		case errors.Is(err, ErrGone):
			return e.State, nil
		case err != nil:
			return e.State, err
		}
		if status.State.Terminal() {
			return status.State, s.Finish(ctx)
		}
		command, seen = s.Wait, status.Seq
	}
}
