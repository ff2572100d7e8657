// Package kept keeps compiled agents on the operator's computer, so that they need not be compiled for each deploy.
package kept

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
)

// maxAgents is how many compiled agents are kept, those that were used last: one for each flydeploy, OTP and Elixir.
const maxAgents = 20

// Folder is where agents lie, each in a file SOURCE-OTP-ELIXIR-SHA256.beams. What cannot be read, or is not what its name says, is
// not there.
type Folder string

// Agents is in the user's cache folder. Without such a folder it is nil.
func Agents() engine.Agents {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	return Folder(filepath.Join(dir, "flydeploy", "agents"))
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_.+]+$`)

// prefix begins the names of the agents of a source, OTP and Elixir, which are other programs' words.
func prefix(source, otp, elixir string) (string, bool) {
	words := []string{source, otp, elixir}
	return strings.Join(words, "-") + "-", !slices.ContainsFunc(words, func(w string) bool { return !plain.MatchString(w) })
}

// Known implements engine.Agents.
func (f Folder) Known(source, otp, elixir string) (engine.CompiledAgent, []byte, bool) {
	begin, ok := prefix(source, otp, elixir)
	if !ok {
		return engine.CompiledAgent{}, nil, false
	}
	for _, path := range f.files(begin) {
		file, err := os.ReadFile(path)
		sum := sha256.Sum256(file)
		a := engine.CompiledAgent{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(file)), Source: source, OTP: otp, Elixir: elixir}
		if err == nil && filepath.Base(path) == begin+a.SHA256+".beams" {
			now := time.Now()
			_ = os.Chtimes(path, now, now) // it was used
			return a, file, true
		}
	}
	return engine.CompiledAgent{}, nil, false
}

// Keep implements engine.Agents.
func (f Folder) Keep(a engine.CompiledAgent, file []byte) error {
	begin, ok := prefix(a.Source, a.OTP, a.Elixir)
	sum := sha256.Sum256(file)
	if !ok || a.SHA256 != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("keep the compiled agent: its bytes have the sha256 %x, not %.12s", sum[:6], a.SHA256)
	}
	older := f.files(begin)
	if err := f.write(begin+a.SHA256+".beams", file); err != nil {
		return fmt.Errorf("keep the compiled agent: %w", err)
	}
	for _, path := range older {
		if filepath.Base(path) != begin+a.SHA256+".beams" {
			_ = os.Remove(path)
		}
	}
	all := f.files("")
	for _, path := range all[min(len(all), maxAgents):] {
		_ = os.Remove(path)
	}
	return nil
}

// files are those whose names begin so, the last used first.
func (f Folder) files(begin string) []string {
	entries, _ := os.ReadDir(string(f))
	used := map[string]time.Time{}
	var paths []string
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && strings.HasPrefix(e.Name(), begin) && strings.HasSuffix(e.Name(), ".beams") {
			path := filepath.Join(string(f), e.Name())
			used[path], paths = info.ModTime(), append(paths, path)
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return used[b].Compare(used[a]) })
	return paths
}

// write makes a file as a whole or not at all: several deploys may write it at once.
func (f Folder) write(name string, body []byte) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(string(f), "new-")
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), filepath.Join(string(f), name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
