package fly

import (
	"archive/tar"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"flydeploy/engine"
	"flydeploy/text"
)

// What a release's folder has at most.
const (
	maxImageFiles = 200_000
	maxImageBytes = 4 << 30
)

// flatten reads layers from the topmost down, and passes on what no layer above hides. Source: the OCI image specification, "Image Layer
// Filesystem Changeset".
type flatten struct {
	folder string // without the slash in front
	file   func(engine.ImageFile, io.Reader) error
	files  int
	bytes  int64
	// Of the layers above: what is gone, with all below it; whose content below is gone; and what is a folder, which hides a file only.
	gone, opaque, dirs map[string]bool
}

func newFlatten(folder string, file func(engine.ImageFile, io.Reader) error) *flatten {
	return &flatten{folder: cleanName(folder), file: file, gone: map[string]bool{}, opaque: map[string]bool{}, dirs: map[string]bool{}}
}

// cleanName gives a path without a slash in front, in which no dots lead anywhere.
func cleanName(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func (f *flatten) read(ctx context.Context, layers []v1.Layer, told func(done, total int64)) error {
	for n := range layers {
		if err := f.layer(ctx, layers[len(layers)-1-n]); err != nil {
			return err
		}
		if told != nil {
			told(int64(n+1), int64(len(layers)))
		}
	}
	return nil
}

// hides is what a layer hides of those below it.
type hides struct{ gone, opaque, dirs []string }

func (f *flatten) layer(ctx context.Context, layer v1.Layer) (err error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	var h hides
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := errors.Join(ctx.Err(), f.entry(header, archive, &h)); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, content); err != nil { // to its very end, where its digest is compared
		return err
	}
	for set, names := range map[*map[string]bool][]string{&f.gone: h.gone, &f.opaque: h.opaque, &f.dirs: h.dirs} {
		for _, name := range names {
			(*set)[name] = true
		}
	}
	return nil
}

// Whiteouts.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

func (f *flatten) entry(header *tar.Header, content io.Reader, h *hides) error {
	name := cleanName(header.Name)
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	hidden, isWhiteout := strings.CutPrefix(base, whiteout)
	switch {
	case base == opaque:
		if f.concerns(dir) {
			h.opaque = append(h.opaque, dir)
		}
	case isWhiteout:
		if name = path.Join(dir, hidden); f.concerns(name) {
			h.gone = append(h.gone, name)
		}
	case !f.concerns(name):
	case header.Typeflag == tar.TypeDir:
		h.dirs = append(h.dirs, name)
	default:
		h.gone = append(h.gone, name)
		if f.below(name) && !f.isHidden(name) {
			return f.pass(name, header, content)
		}
	}
	return nil
}

// pass passes a file or a link on.
func (f *flatten) pass(name string, header *tar.Header, content io.Reader) error {
	file := engine.ImageFile{Name: strings.TrimPrefix(strings.TrimPrefix(name, f.folder), "/")}
	switch header.Typeflag {
	case tar.TypeReg:
		file.Size, file.Mode = header.Size, header.FileInfo().Mode().Perm()
	case tar.TypeSymlink:
		if file.Link = header.Linkname; !path.IsAbs(file.Link) {
			file.Link = path.Join("/", path.Dir(name), file.Link)
		}
		file.Link = path.Clean(file.Link)
	case tar.TypeLink: // to another entry of this layer
		target := cleanName(header.Linkname)
		if !f.below(target) || f.isHidden(target) {
			return engine.NewProblem("unreadable_image", fmt.Sprintf("/%s is a hard link to /%s, which is replaced or not a part of the release", text.Line(name), text.Line(target)), nil,
				"Have a temporary machine pack it: --source machine.")
		}
		file.Link = "/" + target
	default: // a device is no part of a release
		return nil
	}
	if f.files++; f.files > maxImageFiles {
		return tooLarge(fmt.Sprintf("more than %d files", maxImageFiles))
	}
	if f.bytes += file.Size; file.Size < 0 || f.bytes > maxImageBytes {
		return tooLarge(fmt.Sprintf("more than %d GB", maxImageBytes>>30))
	}
	return f.file(file, content)
}

func tooLarge(what string) error {
	return engine.NewProblem("image_too_large", "the release's folder has "+what, nil, "Name the release's own folder: --release-root. Or have a temporary machine pack it: --source machine.")
}

func (f *flatten) below(name string) bool {
	return f.folder == "" && name != "" || strings.HasPrefix(name, f.folder+"/")
}

// concerns reports whether something lies in the folder, or is on the way to it.
func (f *flatten) concerns(name string) bool {
	return f.below(name) || name == f.folder || name == "" || strings.HasPrefix(f.folder, name+"/")
}

// isHidden reports whether a layer above has something else in the place of a file.
func (f *flatten) isHidden(name string) bool {
	if f.gone[name] || f.dirs[name] {
		return true
	}
	for up := name; up != ""; {
		if up = strings.TrimPrefix(path.Dir("/"+up), "/"); f.gone[up] || f.opaque[up] {
			return true
		}
	}
	return false
}

// isDamaged reports whether what came is not what was pushed.
func isDamaged(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.Is(err, tar.ErrHeader) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) ||
		strings.Contains(err.Error(), "error verifying")
}

// firstWords are why there was no answer, without the URL.
func firstWords(err error) string {
	var address *url.Error
	var op *net.OpError
	switch {
	case errors.As(err, &op):
		return op.Error()
	case errors.As(err, &address):
		return address.Err.Error()
	}
	return text.Shorten(text.Line(text.Redact(err.Error())), 200)
}
