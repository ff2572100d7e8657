package isolation

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"flydeploy/fly/local/run"
)

// procFolder writes what scripts look for in /proc, for the processes of a machine without namespaces: environ, comm
// and stat. Not every computer has a /proc, and where there is one it shows all machines' processes. Process 1 stands for
// Fly's init.
type procFolder struct{ mu sync.Mutex }

// update brings the folder up to date. Scripts may read it meanwhile: a file is always whole, and that of a process that
// runs is always there.
func (p *procFolder) update(paths machinePaths, machine string, env []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	folder := filepath.Join(string(paths), "proc")
	environments := run.Marked("FLY_MACHINE_ID=" + machine)
	var errs []error
	for pid, environment := range environments {
		errs = append(errs, writeProcess(folder, pid, environment))
	}
	var first []byte
	for _, variable := range env {
		first = append(append(first, variable...), 0)
	}
	environments[1] = first
	errs = append(errs, writeWhole(filepath.Join(folder, "1", "environ"), first))
	old, err := os.ReadDir(folder)
	errs = append(errs, err)
	for _, entry := range old {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && environments[pid] == nil {
			errs = append(errs, os.RemoveAll(filepath.Join(folder, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

func writeProcess(folder string, pid int, environment []byte) error {
	comm, stat, err := run.ProcessStat(pid)
	if err != nil {
		return nil // it has just ended
	}
	folder = filepath.Join(folder, strconv.Itoa(pid))
	return errors.Join(
		writeWhole(filepath.Join(folder, "comm"), comm),
		writeWhole(filepath.Join(folder, "stat"), stat),
		writeWhole(filepath.Join(folder, "environ"), environment),
	)
}

// writeWhole replaces a file in one step.
func writeWhole(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	aside := path + "~"
	if err := os.WriteFile(aside, content, 0o600); err != nil {
		return err
	}
	return os.Rename(aside, path)
}
