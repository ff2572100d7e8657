package fly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"flydeploy/engine"
)

// prebuilt gives an image that Fly can pull. One that its registry gives to nobody without a login, and this computer's docker
// configuration has a login for, is copied to the app's own repository: Fly has no login of ours.
func (b Builder) prebuilt(ctx context.Context, log func(line string)) (string, error) {
	ref, err := name.ParseReference(b.Prebuilt)
	if err != nil {
		return "", engine.NewProblem("broken_config", fmt.Sprintf("%q is not the name of an image", b.Prebuilt), nil,
			"Correct --image, or [build] image of fly.toml: HOST/NAME:TAG.")
	}
	login := loginFor(ctx, ref)
	if login == nil || !isPrivate(ctx, ref) {
		return b.Prebuilt, nil // if Fly cannot pull it, Fly says why
	}
	return b.copyIn(ctx, ref, login, log)
}

// HasLogin reports whether this computer's docker configuration has a login for an image's registry, other than Fly's own.
func HasLogin(image string) bool {
	ref, err := name.ParseReference(image)
	return err == nil && loginFor(context.Background(), ref) != nil
}

// loginFor gives the login of the docker configuration for an image's registry, nil for none and for Fly's own registry.
func loginFor(ctx context.Context, ref name.Reference) authn.Authenticator {
	login, err := authn.Resolve(ctx, authn.DefaultKeychain, ref.Context())
	if err != nil || login == authn.Anonymous || ref.Context().RegistryStr() == registryHost {
		return nil
	}
	return login
}

// isPrivate reports whether the registry wants a login for the image.
func isPrivate(ctx context.Context, ref name.Reference) bool {
	_, err := remote.Head(ref, remote.WithContext(ctx))
	var answer *transport.Error
	return errors.As(err, &answer) &&
		(answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusNotFound)
}

// registryHost is Fly's registry. An app's images are in a repository of the app's name.
const registryHost = "registry.fly.io"

// copyIn copies an image to the app's repository, and gives its name there.
func (b Builder) copyIn(ctx context.Context, from name.Reference, login authn.Authenticator, log func(line string)) (string, error) {
	host := cmp.Or(b.registry, registryHost)
	// The tag names the content, so a second copy of the same image sends nothing.
	image, err := remote.Get(from, remote.WithContext(ctx), remote.WithAuth(login))
	if err != nil {
		return "", privateProblem(from, err)
	}
	to, err := name.NewTag(fmt.Sprintf("%s/%s:copy-%s", host, b.App, image.Digest.Hex[:16]))
	if err != nil {
		return "", fmt.Errorf("name the copy of %s: %w", from, err)
	}
	log(fmt.Sprintf("copying the private image %s to %s", from, to))
	pusher, err := remote.NewPusher(remote.WithContext(ctx), remote.WithAuth(&authn.Basic{Username: "x", Password: b.Token}))
	if err == nil {
		err = pusher.Push(ctx, to, image)
	}
	if err != nil {
		return "", engine.NewProblem("copy_failed", fmt.Sprintf("copy %s to %s", from, to), err,
			"Check that the token may push to the app's repository, and run again: what was copied is not sent again.")
	}
	return to.String(), nil
}

func privateProblem(ref name.Reference, err error) error {
	return engine.NewProblem("private_image", "read the image "+ref.String(), err,
		"Log in with `docker login "+ref.Context().RegistryStr()+"`, and check the image's name.")
}
