package local

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
	"github.com/oklog/ulid/v2"
)

// Image is a pushed image.
type Image struct {
	Ref    string // registry.fly.io/APP:TAG
	Digest string // sha256:…
	Size   int64  // bytes of its layers, compressed
}

// unprivileged is the user that owns /app in an image and runs it: "nobody" on Debian.
const unprivileged = 65534

// Push makes an image of a release's folder, as `mix release` leaves it, and pushes it as registry.fly.io/APP:TAG.
// An empty tag becomes the one that flyctl makes, deployment-ULID.
func (f *Fly) Push(ctx context.Context, releaseDir, tag string) (Image, error) {
	if tag == "" {
		tag = "deployment-" + ulid.Make().String()
	}
	ref := registryHost + "/" + f.options.App + ":" + tag
	image, err := f.push(ctx, releaseDir, ref)
	if err != nil {
		return Image{}, fmt.Errorf("push %s: %w", ref, err)
	}
	return image, nil
}

func (f *Fly) push(ctx context.Context, releaseDir, ref string) (Image, error) {
	release, err := releaseName(releaseDir)
	if err != nil {
		return Image{}, err
	}
	archive, err := archiveRelease(releaseDir, f.folder, f.options.ReleaseRoot)
	if err != nil {
		return Image{}, err
	}
	defer os.Remove(archive)
	layer, err := tarball.LayerFromFile(archive)
	if err != nil {
		return Image{}, err
	}
	image, err := imageOf(layer, f.options.ReleaseRoot, release)
	if err != nil {
		return Image{}, err
	}
	if err := f.registry.push(ctx, ref, image); err != nil {
		return Image{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return Image{}, err
	}
	size, err := layer.Size()
	return Image{Ref: ref, Digest: digest.String(), Size: size}, err
}

// imageOf is what the usual Dockerfile of an Elixir release makes, without the base: machines take /usr from the host.
func imageOf(layer v1.Layer, releaseRoot, release string) (v1.Image, error) {
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
		User:       fmt.Sprint(unprivileged),
		WorkingDir: releaseRoot,
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "LANG=C.UTF-8", "HOME=" + releaseRoot},
		Cmd:        []string{releaseRoot + "/bin/" + release, "start"},
	}
	return mutate.ConfigFile(image, file)
}

// releaseName is the name of the only boot file's release: bin may hold more scripts than the release's own.
func releaseName(releaseDir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(releaseDir, "releases", "*", "*.rel"))
	if err != nil {
		return "", err
	}
	for _, rel := range found {
		name := strings.TrimSuffix(filepath.Base(rel), ".rel")
		if _, err := os.Stat(filepath.Join(releaseDir, "bin", name)); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s holds no release: make one with `mix release`", releaseDir)
}

// archiveRelease writes a layer with the release under releaseRoot to a temporary file of folder. The same release makes the
// same bytes.
func archiveRelease(releaseDir, folder, releaseRoot string) (path string, err error) {
	file, err := os.CreateTemp(folder, "layer-*.tar.gz")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			os.Remove(file.Name())
		}
	}()
	compressed, err := gzip.NewWriterLevel(file, gzip.BestSpeed)
	if err != nil {
		return "", err
	}
	archive := tar.NewWriter(compressed)
	if err := addTree(archive, releaseDir, strings.TrimPrefix(releaseRoot, "/")); err != nil {
		return "", err
	}
	return file.Name(), errors.Join(archive.Close(), compressed.Close())
}

// addTree adds a folder's files as the unprivileged user's.
func addTree(archive *tar.Writer, folder, as string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		return addFile(archive, path, filepath.ToSlash(filepath.Join(as, relative)), entry)
	})
}

func addFile(archive *tar.Writer, path, as string, entry fs.DirEntry) error {
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
		Uid: unprivileged, Gid: unprivileged, Format: tar.FormatPAX,
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
