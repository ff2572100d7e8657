package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	fly "github.com/superfly/fly-go"
)

// Images pulls images from a registry, and unpacks each of them once.
type Images struct {
	registry *Registry
	folder   string

	mu       sync.Mutex
	unpacked map[string]func() (folder string, err error) // by digest
}

// NewImages unpacks below a folder, which it makes.
func NewImages(registry *Registry, folder string) *Images {
	return &Images{registry: registry, folder: folder, unpacked: map[string]func() (string, error){}}
}

// Image is a pulled image.
type Image struct {
	ref    fly.MachineImageRef
	config v1.Config
	unpack func() (folder string, err error)
}

// Ref names the image as the Machines API does, with its digest.
func (i *Image) Ref() fly.MachineImageRef { return i.ref }

// Config says what runs in the image, and how.
func (i *Image) Config() v1.Config { return i.config }

// Unpack returns the folder that holds the image's files. All machines of the image share it and must not write to it.
func (i *Image) Unpack() (folder string, err error) { return i.unpack() }

// Pull reads an image's manifest and configuration.
func (i *Images) Pull(ctx context.Context, ref string) (*Image, error) {
	image, err := i.pull(ctx, ref)
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("failed to get manifest %s: MANIFEST_UNKNOWN: manifest unknown", ref)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to get manifest %s: %w", ref, err)
	}
	return image, nil
}

func (i *Images) pull(ctx context.Context, ref string) (*Image, error) {
	// The image fetches its layers later, when the request that asked for it is over.
	image, err := i.registry.pull(context.WithoutCancel(ctx), ref)
	if err != nil {
		return nil, err
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	parts := imageRef(ref)
	parts.Digest = digest.String()
	return &Image{ref: parts, config: file.Config, unpack: i.unpacking(image, digest)}, nil
}

// imageRef takes a reference apart. It is one that the registry has accepted.
func imageRef(ref string) fly.MachineImageRef {
	plain, _, _ := strings.Cut(ref, "@")
	tag, err := name.NewTag(plain)
	if err != nil {
		return fly.MachineImageRef{}
	}
	parts := fly.MachineImageRef{Registry: tag.RegistryStr(), Repository: tag.RepositoryStr()}
	if strings.Contains(plain, ":") || plain == ref {
		parts.Tag = tag.TagStr()
	}
	return parts
}

// unpacking is the function that unpacks an image: the same one for all pulls of it.
func (i *Images) unpacking(image v1.Image, digest v1.Hash) func() (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	unpack := i.unpacked[digest.String()]
	if unpack == nil {
		unpack = sync.OnceValues(func() (string, error) {
			folder := filepath.Join(i.folder, digest.Hex)
			if err := unpackImage(image, folder); err != nil {
				return "", fmt.Errorf("unpack image %s: %w", digest, err)
			}
			return folder, nil
		})
		i.unpacked[digest.String()] = unpack
	}
	return unpack
}

func unpackImage(image v1.Image, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if err := unpackLayer(layer, folder); err != nil {
			return err
		}
	}
	return nil
}
