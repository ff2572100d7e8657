package cli

import (
	"context"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/target"
)

type heldLock struct {
	engine.Locks
	info engine.LockInfo
}

func (l heldLock) Current(context.Context) (engine.LockInfo, error) { return l.info, nil }

func TestALockWithoutADeployIsNotFollowed(t *testing.T) {
	cmd := watchCommand()
	cmd.SetContext(t.Context())
	lock := heldLock{info: engine.LockInfo{LockedBy: "bob@desk"}}
	target := &target.Target{Storage: engine.Storage{Locks: &lock}}
	if id, err := watched(cmd, target, nil); err == nil || !strings.Contains(err.Error(), "bob@desk") {
		t.Errorf("it follows %q: %v", id, err)
	}
	lock.info.DeploymentID = "01A"
	if id, err := watched(cmd, target, nil); err != nil || id != "01A" {
		t.Errorf("it follows %q: %v", id, err)
	}
}
