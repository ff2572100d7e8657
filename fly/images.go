package fly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"flydeploy/engine"
)

// Images reads images in their registries: Fly's with Token, others with the logins of this computer's docker configuration.
type Images struct {
	Token string
	// Transport is the way to the registries, nil for the default one.
	Transport http.RoundTripper
}

var _ engine.ReadImage = Images{}.Read

// machines' platform. Source: Fly's documentation, "Machines run on x86-64".
var platform = v1.Platform{OS: "linux", Architecture: "amd64"}

const noRegistry = "Check the image's name, or have a temporary machine pack it: --source machine."

// Read implements engine.ReadImage.
func (i Images) Read(ctx context.Context, image, folder string, layers func(done, total int64), file func(engine.ImageFile, io.Reader) error) (string, error) {
	found, err := i.find(ctx, image)
	if err != nil {
		return "", err
	}
	all, err := found.image.Layers()
	if err != nil {
		return "", imageProblem(ctx, found.ref, err)
	}
	if err := newFlatten(folder, file).read(ctx, all, layers); err != nil {
		return "", imageProblem(ctx, found.ref, err)
	}
	return found.digest, nil
}

// foundImage is an image for machines' platform.
type foundImage struct {
	ref    name.Reference
	image  v1.Image
	digest string // of what ref names: of the image, or of its list of platforms
}

func (i Images) find(ctx context.Context, image string) (foundImage, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return foundImage{}, engine.NewProblem("broken_config", fmt.Sprintf("%q is not the name of an image", image), nil, "Correct --image: HOST/NAME:TAG.")
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithPlatform(platform), i.login(ctx, ref)}
	if i.Transport != nil {
		options = append(options, remote.WithTransport(i.Transport))
	}
	found, err := remote.Get(ref, options...)
	if err != nil {
		return foundImage{}, imageProblem(ctx, ref, err)
	}
	one, err := found.Image() // of the platform; by its digest, so that it is the same from here on
	if err == nil {
		err = checkPlatform(one, ref)
	}
	if err != nil {
		return foundImage{}, imageProblem(ctx, ref, err)
	}
	return foundImage{ref, one, found.Digest.String()}, nil
}

// ImageConfig is what an image says about how it runs. Source: the OCI image specification, config.md, "config".
type ImageConfig struct {
	Env     []string // NAME=VALUE
	Command []string // the entrypoint and its arguments
	WorkDir string   // "" for the root
}

// Config reads how an image runs. Its errors are Read's.
func (i Images) Config(ctx context.Context, image string) (ImageConfig, error) {
	found, err := i.find(ctx, image)
	if err != nil {
		return ImageConfig{}, err
	}
	file, err := found.image.ConfigFile()
	if err != nil {
		return ImageConfig{}, imageProblem(ctx, found.ref, err)
	}
	c := file.Config
	return ImageConfig{Env: c.Env, Command: slices.Concat(c.Entrypoint, c.Cmd), WorkDir: c.WorkingDir}, nil
}

// login gives the login for an image's registry.
func (i Images) login(ctx context.Context, ref name.Reference) remote.Option {
	if ref.Context().RegistryStr() == registryHost && i.Token != "" {
		return remote.WithAuth(&authn.Basic{Username: "x", Password: i.Token})
	}
	if login := loginFor(ctx, ref); login != nil {
		return remote.WithAuth(login)
	}
	return remote.WithAuth(authn.Anonymous)
}

// checkPlatform refuses an image that is no list of platforms, and is for another one than machines have.
func checkPlatform(image v1.Image, ref name.Reference) error {
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	if a := config.Architecture; a != "" && a != platform.Architecture || config.OS != "" && config.OS != platform.OS {
		return wrongPlatform(ref, fmt.Sprintf("it is for %s/%s", config.OS, a))
	}
	return nil
}

func wrongPlatform(ref name.Reference, what string) error {
	return engine.NewProblem("wrong_platform", fmt.Sprintf("read the image %s: %s, and machines are %s", ref, what, platform), nil,
		"Build it with `--platform "+platform.String()+"`.")
}

// imageProblem says what an operator can do about an image that cannot be read. Registries' own words are left out: they may quote URLs
// with signatures.
func imageProblem(ctx context.Context, ref name.Reference, err error) error {
	what := "read the image " + ref.String()
	var known *engine.Problem
	var answer *transport.Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	case errors.As(err, &known):
		return err
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		remedy := "Log in with `docker login " + ref.Context().RegistryStr() + "`, and check the image's name."
		if ref.Context().RegistryStr() == registryHost {
			remedy = "Run `fly auth login`, or set FLY_ACCESS_TOKEN to a token of the app whose image it is."
		}
		return engine.NewProblem("private_image", fmt.Sprintf("%s: the registry answers %d to this login", what, answer.StatusCode), nil, remedy)
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return engine.NewProblem("no_image", what+": the registry does not have it", nil, noRegistry)
	case errors.As(err, &answer):
		return engine.NewProblem("registry_failed", fmt.Sprintf("%s: the registry answers %d", what, answer.StatusCode), nil, "Run again. "+noRegistry)
	case strings.Contains(err.Error(), "no child with platform"):
		return wrongPlatform(ref, "it is not for them")
	case errors.Is(err, io.ErrUnexpectedEOF), isDamaged(err):
		return engine.NewProblem("registry_failed", what+": a layer came damaged, or not to its end", nil, "Run again. "+noRegistry)
	}
	return engine.NewProblem("registry_failed", what, errors.New(firstWords(err)), "Check the network, and run again. "+noRegistry)
}
