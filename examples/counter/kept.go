package counter

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// keptFor is how long a release is kept that nobody asks for. Whoever uses one at the moment has asked for it just before.
const keptFor = 24 * time.Hour

// Kept gives the root folder of the release of one version (1, 2 or 3), which must not be changed. It is what an earlier call
// on this computer has built from the same source with the same Erlang and Elixir, or else what build makes of the source in
// a folder that is removed afterwards; kept says which of the two. It lies in the user's cache folder.
func Kept(ctx context.Context, version int, build func(source string) (root string, err error)) (root string, kept bool, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = filepath.Join(os.TempDir(), fmt.Sprintf("flydeploy-%d", os.Getuid()))
	}
	tools, err := exec.CommandContext(ctx, "elixir", "--version").CombinedOutput()
	if err != nil {
		return "", false, fmt.Errorf("elixir --version: %w\n%s", err, tools)
	}
	key, err := keyOf(string(tools), version)
	if err != nil {
		return "", false, err
	}
	return keep(filepath.Join(cache, "flydeploy", "counter"), key, build)
}

// keyOf is the hash of all that the release is made from.
func keyOf(tools string, version int) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%d\n", tools, version)
	for _, p := range parts {
		err := fs.WalkDir(p.files, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(p.files, path)
			fmt.Fprintf(hash, "%s/%s %d\n%s", p.folder, path, len(content), content)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("v%d-%x", version, hash.Sum(nil)[:8]), nil
}

func keep(folder, key string, build func(source string) (string, error)) (root string, kept bool, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", false, err
	}
	unlock, err := lock(filepath.Join(folder, key+".lock"))
	if err != nil {
		return "", false, err
	}
	defer unlock()
	root = filepath.Join(folder, key)
	now := time.Now()
	if os.Chtimes(root, now, now) == nil { // it is there
		return root, true, nil
	}
	removeUnused(folder, now)
	made, err := os.MkdirTemp(folder, "source-")
	if err != nil {
		return "", false, err
	}
	defer os.RemoveAll(made)
	source := filepath.Join(made, "counter")
	if err := WriteTo(source); err != nil {
		return "", false, err
	}
	built, err := build(source)
	if err != nil {
		return "", false, err
	}
	if err := os.Rename(built, root); err != nil { // whole, or not there
		return "", false, fmt.Errorf("keep the release: %w", err)
	}
	return root, false, os.Chtimes(root, now, now)
}

// lock waits until no other process has the file locked. The lock ends with the process at the latest.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // it is in use: see removeUnused
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

// removeUnused removes what was not asked for in keptFor, and what builds that were killed have left. What cannot be
// removed stays for the next time.
func removeUnused(folder string, now time.Time) {
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > keptFor {
			_ = os.RemoveAll(filepath.Join(folder, e.Name()))
		}
	}
}
