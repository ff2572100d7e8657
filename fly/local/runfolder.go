package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A run folder belongs to one Fly of one process and holds all that this Fly writes. Its name records the owner, by
// process id and the start time of that process, so that a later start can tell a dead owner's folder from one in use.
const runFolderPrefix = "run-"

// claimRunFolder removes what dead owners left in stateDir and makes a folder for this process.
func claimRunFolder(stateDir string) (string, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return "", fmt.Errorf("make state folder: %w", err)
	}
	if err := sweepRunFolders(stateDir); err != nil {
		return "", fmt.Errorf("remove what an earlier run left in %s: %w", stateDir, err)
	}
	started, err := processStarted(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("read this process's start time: %w", err)
	}
	folder, err := os.MkdirTemp(stateDir, fmt.Sprintf("%s%d-%d-", runFolderPrefix, os.Getpid(), started))
	if err != nil {
		return "", fmt.Errorf("make run folder: %w", err)
	}
	return folder, os.Mkdir(filepath.Join(folder, groupsFolder), 0o700)
}

func sweepRunFolders(stateDir string) error {
	entries, err := os.ReadDir(stateDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		owner, ok := runFolderOwner(entry.Name())
		if !ok || owner.alive() {
			continue
		}
		folder := filepath.Join(stateDir, entry.Name())
		signalMarked(runMark+"="+entry.Name(), syscall.SIGKILL)
		errs = append(errs, removeTree(folder))
	}
	return errors.Join(errs...)
}

func runFolderOwner(name string) (processIdentity, bool) {
	rest, ok := strings.CutPrefix(name, runFolderPrefix)
	if !ok {
		return processIdentity{}, false
	}
	var owner processIdentity
	n, err := fmt.Sscanf(rest, "%d-%d-", &owner.pid, &owner.started)
	return owner, err == nil && n == 2
}

// processIdentity names a process for good: a process id alone is used again.
type processIdentity struct {
	pid     int
	started uint64 // as processStarted gives it
}

func (p processIdentity) alive() bool {
	started, err := processStarted(p.pid)
	return err == nil && started == p.started
}

// removeTree removes a folder in which an application may have made folders that cannot be written.
func removeTree(folder string) error {
	err := os.RemoveAll(folder)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700) // what cannot be changed shows in the second attempt's error
		}
		return nil
	})
	return os.RemoveAll(folder)
}
