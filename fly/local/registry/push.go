package registry

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Pushed is an image that the registry has.
type Pushed struct {
	Ref    string // registry.fly.io/APP:TAG
	Digest string // sha256:…
	Size   int64  // bytes of its layers, compressed
}

// Release is what an image is made of.
type Release struct {
	Dir   string   // as `mix release` leaves it
	Root  string   // where the image holds it, absolute
	Owner int      // id of the user and group that own it in the image and run it
	Env   []string // NAME=VALUE, beside what every image has
}

// Push makes an image of a release and pushes it as ref, registry.fly.io/APP:TAG.
func (r *Registry) Push(ctx context.Context, release Release, ref string) (Pushed, error) {
	image, err := r.pushRelease(ctx, release, ref)
	if err != nil {
		return Pushed{}, fmt.Errorf("push %s: %w", ref, err)
	}
	return image, nil
}

func (r *Registry) pushRelease(ctx context.Context, release Release, ref string) (Pushed, error) {
	name, err := release.name()
	if err != nil {
		return Pushed{}, err
	}
	archive, err := release.archive(r.folder)
	if err != nil {
		return Pushed{}, err
	}
	defer os.Remove(archive)
	layer, err := tarball.LayerFromFile(archive)
	if err != nil {
		return Pushed{}, err
	}
	image, err := release.image(layer, name)
	if err != nil {
		return Pushed{}, err
	}
	if err := r.push(ctx, ref, image); err != nil {
		return Pushed{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return Pushed{}, err
	}
	size, err := layer.Size()
	return Pushed{Ref: ref, Digest: digest.String(), Size: size}, err
}

// image is what the usual Dockerfile of an Elixir release makes, without the base: machines take /usr from the host.
func (r Release) image(layer v1.Layer, name string) (v1.Image, error) {
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{
		User:       fmt.Sprint(r.Owner),
		WorkingDir: r.Root,
		Env:        append([]string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "LANG=C.UTF-8", "HOME=" + r.Root}, r.Env...),
		Cmd:        []string{r.Root + "/bin/" + name, "start"},
	}
	return mutate.ConfigFile(image, file)
}

// name is that of the release with a boot file and a script: bin may hold more scripts than the release's own.
func (r Release) name() (string, error) {
	found, err := filepath.Glob(filepath.Join(r.Dir, "releases", "*", "*.rel"))
	if err != nil {
		return "", err
	}
	for _, rel := range found {
		name := strings.TrimSuffix(filepath.Base(rel), ".rel")
		if _, err := os.Stat(filepath.Join(r.Dir, "bin", name)); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s holds no release: make one with `mix release`", r.Dir)
}

// archive writes a layer with the release to a temporary file in folder. The same release makes the same bytes.
func (r Release) archive(folder string) (path string, err error) {
	file, err := os.CreateTemp(folder, "layer-*.tar.gz")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			os.Remove(file.Name())
		}
	}()
	compressed, err := gzip.NewWriterLevel(file, gzip.NoCompression)
	if err != nil {
		return "", err
	}
	archive := tar.NewWriter(compressed)
	if err := r.addTo(archive); err != nil {
		return "", err
	}
	return file.Name(), errors.Join(archive.Close(), compressed.Close())
}

// addTo adds the release's files as the owner's.
func (r Release) addTo(archive *tar.Writer) error {
	as := strings.TrimPrefix(r.Root, "/")
	return filepath.WalkDir(r.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(r.Dir, path)
		if err != nil {
			return err
		}
		return addFile(archive, path, filepath.ToSlash(filepath.Join(as, relative)), entry, r.Owner)
	})
}

func addFile(archive *tar.Writer, path, as string, entry fs.DirEntry, owner int) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	*header = tar.Header{
		Typeflag: header.Typeflag, Name: as, Linkname: header.Linkname, Size: header.Size, Mode: header.Mode,
		Uid: owner, Gid: owner, Format: tar.FormatPAX,
	}
	if err := archive.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(archive, file)
	return err
}
