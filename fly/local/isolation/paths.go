package isolation

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// machinePaths is the folder that stands for a machine's root where there are no namespaces. In the words of commands
// /app, /proc and /tmp are read as its own, and in their output its own as these.
type machinePaths string

// absolute finds the three folders where a path begins: not inside of a longer path, nor inside of base64.
var absolute = regexp.MustCompile(`(^|[^\x00A-Za-z0-9_.+/\-])(/(?:app|proc|tmp))(/|$|[^A-Za-z0-9_.\-])`)

// mapped replaces the machine's paths in a text by the computer's. Those that are the computer's already stay.
func (p machinePaths) mapped(text string) string {
	own := string(p)
	// Own paths are taken out first: the folder may itself be in /tmp.
	const hidden = "\x00"
	text = strings.ReplaceAll(text, own, hidden)
	for { // neighbours share the character between them
		replaced := absolute.ReplaceAllString(text, "${1}"+hidden+"${2}${3}")
		if replaced == text {
			return strings.ReplaceAll(text, hidden, own)
		}
		text = replaced
	}
}

func (p machinePaths) mapAll(words []string) []string {
	mapped := make([]string, len(words))
	for i, word := range words {
		mapped[i] = p.mapped(word)
	}
	return mapped
}

// unmapped puts the machine's paths back into a text that one of its processes has written.
func (p machinePaths) unmapped(text string) string {
	return strings.NewReplacer(string(p)+"/", "/", string(p), "/").Replace(text)
}

// prepare makes the three folders, /app with a fresh copy of the image's release.
func (p machinePaths) prepare(image string) error {
	for _, name := range []string{"proc", "tmp"} {
		if err := os.Mkdir(filepath.Join(string(p), name), 0o700); err != nil {
			return err
		}
	}
	return copyRelease(filepath.Join(image, "app"), filepath.Join(string(p), "app"))
}

// copyRelease copies a release's folder. Nothing ever writes to the Erlang runtime in it, which is linked instead.
func copyRelease(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case entry.IsDir():
			info, err := entry.Info()
			if err != nil {
				return err
			}
			return os.Mkdir(target, info.Mode().Perm()|0o700)
		case entry.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case strings.HasPrefix(relative, "erts-"):
			return os.Link(path, target)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
