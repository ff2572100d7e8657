package registry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// unpackLayer writes a layer's files below folder. No entry can reach outside of it, by its name or through a link:
// os.Root sees to that.
func unpackLayer(layer v1.Layer, folder string) error {
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer content.Close()
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackEntry(root, header, archive); err != nil {
			return fmt.Errorf("entry %q: %w", header.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	path := filepath.Clean(strings.TrimLeft(header.Name, "/"))
	if path == "." {
		return nil
	}
	if hidden, ok := strings.CutPrefix(filepath.Base(path), ".wh."); ok {
		return root.RemoveAll(filepath.Join(filepath.Dir(path), hidden)) // a whiteout of the OCI image specification
	}
	if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	mode := header.FileInfo().Mode().Perm()
	switch header.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case tar.TypeReg:
		if err := unpackFile(root, path, mode, content); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := root.RemoveAll(path); err != nil {
			return err
		}
		return root.Symlink(header.Linkname, path)
	case tar.TypeLink:
		return root.Link(filepath.Clean(strings.TrimLeft(header.Linkname, "/")), path)
	default:
		return fmt.Errorf("entries of type %q do not belong in an image", header.Typeflag)
	}
	if os.Getuid() == 0 {
		if err := root.Chown(path, header.Uid, header.Gid); err != nil {
			return err
		}
	}
	return root.Chmod(path, mode)
}

func unpackFile(root *os.Root, path string, mode fs.FileMode, content io.Reader) error {
	if err := root.RemoveAll(path); err != nil {
		return err
	}
	file, err := root.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
