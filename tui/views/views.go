// Package views keeps filters by name on this computer: a file for each, which is there whole or not at all. So consoles that keep some
// at the same time lose nothing of each other's.
package views

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"flydeploy/text"
)

// View is a filter that is kept. Names that differ in upper and lower case alone are the same.
type View struct {
	Name   string `json:"name"`
	Filter string `json:"filter"`
}

// Store keeps the views of one app in a folder; the zero Store has none, and keeps none.
type Store struct{ dir string }

// Of is the store of an app below a folder, which need not be there.
func Of(dir, app string) Store {
	if dir == "" || app == "" {
		return Store{}
	}
	return Store{filepath.Join(dir, strings.ReplaceAll(url.PathEscape(app), ".", "%2E"))}
}

// Keeps reports whether anything is kept.
func (s Store) Keeps() bool { return s.dir != "" }

const (
	maxName   = 40   // runes
	maxFilter = 1000 // bytes
	suffix    = ".json"
)

// List gives the views by name. A file that cannot be read as one is left out.
func (s Store) List() ([]View, error) {
	if !s.Keeps() {
		return nil, nil
	}
	files, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the views: %w", err)
	}
	var all []View
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), suffix) {
			continue
		}
		var v View
		body, err := os.ReadFile(filepath.Join(s.dir, file.Name())) // it may be gone by now
		if err == nil && json.Unmarshal(body, &v) == nil && v.check() == nil {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b View) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return all, nil
}

// check refuses what no console has kept so.
func (v View) check() error {
	switch {
	case strings.TrimSpace(v.Name) == "" || v.Name != text.Line(v.Name):
		return errors.New("a view needs a name")
	case utf8.RuneCountInString(v.Name) > maxName:
		return fmt.Errorf("a view's name has at most %d characters", maxName)
	case strings.TrimSpace(v.Filter) == "":
		return errors.New("there is no filter to keep")
	case len(v.Filter) > maxFilter || v.Filter != text.Line(v.Filter):
		return errors.New("this filter is too long to be kept")
	}
	return nil
}

func (s Store) file(name string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(name)))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16])+suffix)
}

// Save keeps a view, in the place of one of the same name.
func (s Store) Save(v View) error {
	v.Name, v.Filter = strings.TrimSpace(v.Name), strings.TrimSpace(v.Filter)
	if err := v.check(); err != nil {
		return err
	}
	if !s.Keeps() {
		return errors.New("keep the view: this computer has no folder for it")
	}
	body, err := json.Marshal(v)
	if err == nil {
		err = os.MkdirAll(s.dir, 0o700)
	}
	if err == nil {
		err = write(s.file(v.Name), append(body, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep the view: %w", err)
	}
	return nil
}

// write puts a file in its place as a whole.
func write(path string, body []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

// Delete forgets a view; that there is none is no error.
func (s Store) Delete(name string) error {
	if err := os.Remove(s.file(name)); s.Keeps() && err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the view: %w", err)
	}
	return nil
}
