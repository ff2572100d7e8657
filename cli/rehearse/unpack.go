package rehearse

import (
	"archive/tar"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
)

// unpacking writes the files of a release into a folder. No name leads out of it, by itself or by a link: os.Root sees to that.
type unpacking struct {
	into  *os.Root
	root  string            // where an image has the folder
	links map[string]string // by their names, made when all files are there
}

func newUnpacking(dir, root string) (*unpacking, error) {
	into, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &unpacking{into: into, root: root, links: map[string]string{}}, nil
}

func (u *unpacking) close() { _ = u.into.Close() } // it was only read from

// add takes a file, as engine.ReadImage gives it. What comes again takes the place of what was there.
func (u *unpacking) add(f engine.ImageFile, content io.Reader) error {
	name := filepath.FromSlash(f.Name)
	delete(u.links, name)
	if f.Link != "" {
		u.links[name] = f.Link
		return nil
	}
	if err := u.into.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return notWritten(f.Name, err)
	}
	if err := u.into.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return notWritten(f.Name, err)
	}
	file, err := u.into.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return notWritten(f.Name, err)
	}
	n, err := io.Copy(file, content)
	written := errors.Join(file.Chmod(f.Mode|0o400), file.Close())
	switch {
	case err != nil && !errors.As(err, new(*fs.PathError)):
		return fmt.Errorf("%s: %w", text.Line(f.Name), err) // of what is read
	case err != nil, written != nil:
		return notWritten(f.Name, cmp.Or(err, written))
	case n != f.Size:
		return fmt.Errorf("%s: %w", text.Line(f.Name), io.ErrUnexpectedEOF)
	}
	return nil
}

func notWritten(name string, err error) error {
	return fmt.Errorf("write %s: %w", text.Line(name), reason(err))
}

// linkAll makes the links. Those within the release lead to the same place wherever its folder is.
func (u *unpacking) linkAll() error {
	for name, to := range u.links {
		if below, ok := strings.CutPrefix(to, strings.TrimSuffix(u.root, "/")+"/"); ok {
			rel, err := filepath.Rel(filepath.Dir(name), filepath.FromSlash(below))
			if err != nil {
				return notWritten(name, err)
			}
			to = rel
		}
		_ = u.into.Remove(name) // a file of a layer below
		if err := errors.Join(u.into.MkdirAll(filepath.Dir(name), 0o755), u.into.Symlink(to, name)); err != nil {
			return notWritten(name, err)
		}
	}
	return nil
}

// reason is why a file could not be read or written, without its path.
func reason(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// within gives the folder in dir where that holds nothing else, as archives that were packed from outside have it, else dir.
func within(dir string) string {
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != 1 || !found[0].IsDir() {
		return dir
	}
	return filepath.Join(dir, found[0].Name())
}

// maxArchive bounds what an archive may hold, in bytes, as that of an image is bounded.
const maxArchive = 4 << 30

// readArchive reads the .tar.gz that `mix release` makes with the step :tar.
func readArchive(ctx context.Context, name, root string, add func(engine.ImageFile, io.Reader) error) error {
	wrong := func(err error) error {
		remedy := makeOne
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, new(flate.CorruptInputError)) {
			remedy = "It is damaged, or was not copied to its end: make it again."
		}
		return engine.NewProblem("no_release", "read the archive "+text.Line(name), reason(err), remedy)
	}
	file, err := os.Open(name)
	if err != nil {
		return wrong(err)
	}
	defer file.Close()
	content, err := gzip.NewReader(file)
	if err != nil {
		return wrong(err)
	}
	entries := tar.NewReader(io.LimitReader(content, maxArchive))
	for {
		header, err := entries.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return wrong(err)
		}
		if slices.Contains(strings.Split(header.Name, "/"), "..") {
			return wrong(fmt.Errorf("its entry %s leads out of it", text.Line(header.Name)))
		}
		f := engine.ImageFile{Name: strings.TrimPrefix(path.Clean("/"+header.Name), "/"), Size: header.Size, Mode: header.FileInfo().Mode().Perm()}
		switch header.Typeflag {
		case tar.TypeReg:
		case tar.TypeSymlink:
			if f.Link = header.Linkname; !path.IsAbs(f.Link) {
				f.Link = path.Join(root, path.Dir(f.Name), f.Link)
			}
		case tar.TypeLink:
			f.Link = path.Join(root, header.Linkname)
		default:
			continue
		}
		if err := add(f, entries); err != nil {
			return wrong(err)
		}
	}
}
