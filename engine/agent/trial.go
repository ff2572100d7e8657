package agent

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Trial is an upgrade that a VM runs and that nobody has recorded: unless it is confirmed in time, the VM stops.
type Trial struct {
	ID   string // the deploy's, "" for none
	Left time.Duration
	Ran  *Ran // before it; nil if the VM cannot tell
}

func (t *Trial) read(key, value string) {
	if id, left, ok := strings.Cut(value, " "); key == "trial" && ok && len(id) <= maxID {
		ms, _ := strconv.ParseInt(left, 10, 64)
		t.ID, t.Left = id, time.Duration(max(ms, 0))*time.Millisecond
	}
	if ms, err := strconv.ParseInt(value, 10, 64); key == "newest_ms" && err == nil && ms >= 0 {
		t.Ran = &Ran{NewestMS: ms}
	}
}

// LookAtTrial asks a running VM for its trial, and gives a session with its agent, nil if it has none. ErrGone: another boot of the VM runs by now.
func LookAtTrial(ctx context.Context, exec Exec, vm VM) (Trial, *Session, error) {
	return askTrial(ctx, exec, vm, "")
}

// ConfirmTrial ends a deploy's trial in a VM: the upgrade stays as it runs. It is no error if the VM is on no trial, or on another one, which
// goes on. It may be called again.
func ConfirmTrial(ctx context.Context, exec Exec, vm VM, id string) error {
	_, _, err := askTrial(ctx, exec, vm, id)
	return err
}

func askTrial(ctx context.Context, exec Exec, vm VM, confirmed string) (Trial, *Session, error) {
	const doing = "asking the VM for its trial"
	if confirmed != "" && !validID(confirmed) {
		return Trial{}, nil, fmt.Errorf("%s: the id %q is no deploy's", doing, printable(confirmed, maxID))
	}
	lines, err := askBound(ctx, exec, vm, fmt.Sprintf(`confirmed = "%s"`, confirmed), doing, "trial", trialScripts...)
	if err != nil {
		return Trial{}, nil, err
	}
	trial, s := parseTrial(lines, exec, vm)
	return trial, s, nil
}

func parseTrial(lines []string, exec Exec, vm VM) (Trial, *Session) {
	var t Trial
	found := Session{exec: exec, vm: vm}
	for _, line := range lines {
		key, value, _ := strings.Cut(printable(line, 1000), "=")
		t.read(key, value)
		switch key {
		case "agent_id":
			found.id = value
		case "agent_dir":
			found.dir = value
		}
	}
	if !validID(found.id) || !validDir(found.dir) || !strings.HasSuffix(found.dir, "/flydeploy-"+found.id) {
		return t, nil
	}
	return t, &found
}

// Past gives a session with a VM whose agent has ended.
func Past(exec Exec, vm VM) *Session { return &Session{exec: exec, vm: vm} }
