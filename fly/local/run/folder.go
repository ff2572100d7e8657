// Package run knows what a run leaves on the computer, and removes it. A run is one Fly of one process. It owns a folder,
// and processes that carry its mark or stand in its records; they go at its end, also when its process is killed.
package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Folder is the path of a run's folder, which holds all that the run writes. Its name records the owner, by process id
// and the start time of that process, so that a later start can tell a dead owner's folder from one in use.
type Folder string

// FolderPrefix begins the names of all folders of runs.
const FolderPrefix = "run-"

// Claim removes what dead owners left in stateDir and makes a folder for this process.
func Claim(stateDir string) (Folder, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return "", fmt.Errorf("make state folder: %w", err)
	}
	if err := sweep(stateDir); err != nil {
		return "", fmt.Errorf("remove what an earlier run left in %s: %w", stateDir, err)
	}
	started, err := ProcessStarted(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("read this process's start time: %w", err)
	}
	path, err := os.MkdirTemp(stateDir, fmt.Sprintf("%s%d-%d-", FolderPrefix, os.Getpid(), started))
	if err != nil {
		return "", fmt.Errorf("make run folder: %w", err)
	}
	folder := Folder(path)
	return folder, os.Mkdir(string(folder.Groups()), 0o700)
}

// Path is that of something in the folder.
func (f Folder) Path(elements ...string) string {
	return filepath.Join(append([]string{string(f)}, elements...)...)
}

// Mark is the variable, as NAME=VALUE, that marks the run's processes in their environment.
func (f Folder) Mark() string { return MarkName + "=" + f.MarkValue() }

// MarkValue is the value of the variable MarkName.
func (f Folder) MarkValue() string { return filepath.Base(string(f)) }

// Groups are the records of the run's process groups.
func (f Folder) Groups() Groups { return Groups(f.Path(groupsFolder)) }

func sweep(stateDir string) error {
	entries, err := os.ReadDir(stateDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		owner, ok := ownerOf(entry.Name())
		if !ok || owner.alive() {
			continue
		}
		folder := Folder(filepath.Join(stateDir, entry.Name()))
		SignalMarked(folder.Mark(), syscall.SIGKILL)
		errs = append(errs, RemoveTree(string(folder)))
	}
	return errors.Join(errs...)
}

// ownerOf reads the owner from a folder's name.
func ownerOf(name string) (processIdentity, bool) {
	rest, ok := strings.CutPrefix(name, FolderPrefix)
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
	started uint64 // as ProcessStarted gives it
}

func (p processIdentity) alive() bool {
	started, err := ProcessStarted(p.pid)
	return err == nil && started == p.started
}

// RemoveTree removes a folder, even if an application has made folders in it that cannot be written to.
func RemoveTree(folder string) error {
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
