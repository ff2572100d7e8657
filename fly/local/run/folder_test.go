package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// A claim removes what dead owners left, folders and marked processes, and nothing else.
func TestClaimSweeps(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("macOS hides the environment of sleep")
	}
	state := t.TempDir()
	first, err := Claim(state)
	if err != nil {
		t.Fatal(err)
	}
	// This process's id with another start time is that of an owner that is gone.
	dead := Folder(filepath.Join(state, fmt.Sprintf("%s%d-1-x", FolderPrefix, os.Getpid())))
	other := filepath.Join(state, "run-of-the-mill")
	for _, folder := range []string{dead.Path("groups"), other} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var left []*exec.Cmd
	for _, folder := range []Folder{dead, first} {
		cmd := exec.Command("sleep", "30")
		cmd.Env = []string{folder.Mark()}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		left = append(left, cmd)
	}
	second, err := Claim(state)
	if err != nil {
		t.Fatal(err)
	}
	_ = left[0].Wait() // its end shows in ProcessState
	if status := left[0].ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Errorf("a dead owner's process: %v", left[0].ProcessState)
	}
	if found := Marked(first.Mark()); len(found) != 1 {
		t.Errorf("of the living owner's processes %d are left, want 1", len(found))
	}
	if _, err := os.Stat(string(dead)); !os.IsNotExist(err) {
		t.Errorf("a dead owner's folder: %v", err)
	}
	for _, folder := range []string{string(first), string(second), other} {
		if _, err := os.Stat(folder); err != nil {
			t.Error(err)
		}
	}
}
