package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	fly "github.com/superfly/fly-go"
)

// imageCache unpacks each image once. Machines share the folder and must not write to it.
type imageCache struct {
	registry *imageRegistry
	folder   string

	mu       sync.Mutex
	unpacked map[string]*unpacking // by digest
}

type unpacking struct {
	once sync.Once
	root string
	err  error
}

// pulledImage is what a machine boots from.
type pulledImage struct {
	image  v1.Image
	ref    fly.MachineImageRef
	config v1.Config
}

func newImageCache(registry *imageRegistry, folder string) *imageCache {
	return &imageCache{registry: registry, folder: folder, unpacked: map[string]*unpacking{}}
}

// pull reads an image's manifest and configuration.
func (c *imageCache) pull(ctx context.Context, ref string) (pulledImage, error) {
	// The image fetches its layers later, when the request that asked for it is over.
	image, err := c.registry.pull(context.WithoutCancel(ctx), ref)
	if err != nil {
		return pulledImage{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return pulledImage{}, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return pulledImage{}, err
	}
	parts := imageRef(ref)
	parts.Digest = digest.String()
	return pulledImage{image: image, ref: parts, config: file.Config}, nil
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

// unpack returns the folder that holds the image's files.
func (c *imageCache) unpack(image pulledImage) (string, error) {
	c.mu.Lock()
	u := c.unpacked[image.ref.Digest]
	if u == nil {
		u = &unpacking{}
		c.unpacked[image.ref.Digest] = u
	}
	c.mu.Unlock()
	u.once.Do(func() {
		_, hex, _ := strings.Cut(image.ref.Digest, ":")
		u.root = filepath.Join(c.folder, hex)
		if u.err = unpackImage(image.image, u.root); u.err != nil {
			u.err = fmt.Errorf("unpack image %s: %w", image.ref.Digest, u.err)
		}
	})
	return u.root, u.err
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
