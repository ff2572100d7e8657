package local

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"flydeploy/fly/local/isolation"
	"flydeploy/fly/local/registry"
)

// Push makes an image of a release's folder, as `mix release` leaves it, and pushes it as registry.fly.io/APP:TAG.
// An empty tag becomes one like flyctl's, deployment-ULID.
// env is the image's ENV, NAME=VALUE, beside what it has anyway.
func (f *Fly) Push(ctx context.Context, releaseDir, tag string, env ...string) (Image, error) {
	if tag == "" {
		tag = "deployment-" + ulid.Make().String()
	}
	release := registry.Release{Dir: releaseDir, Root: f.options.ReleaseRoot, Owner: isolation.User, Env: env}
	return f.registry.Push(ctx, release, registry.Host+"/"+f.options.App+":"+tag)
}

// BuildRelease runs `mix release` in a Mix project that has no dependencies, offline, for production, and streams the
// lines that it prints. env is added to the environment, NAME=VALUE. Nothing is written to srcDir; the release is in the
// run's folder and lasts until Close. When ctx ends, mix ends with its children.
func (f *Fly) BuildRelease(ctx context.Context, srcDir string, env []string, log func(line string)) (releaseDir string, err error) {
	return registry.BuildRelease(ctx, f.folder, srcDir, env, log)
}

// Build is what `fly deploy --build-only --push` is elsewhere: BuildRelease and Push. It logs the lines that flyctl
// prints, "image: REF" and "image size: SIZE" among them, and returns the reference.
func (f *Fly) Build(ctx context.Context, srcDir string, env []string, log func(line string)) (ref string, err error) {
	release, err := f.BuildRelease(ctx, srcDir, env, log)
	if err != nil {
		return "", err
	}
	return f.Image(ctx, release, log)
}

// Image makes an image of a release and pushes it, as Push does, and logs and returns what Build does.
func (f *Fly) Image(ctx context.Context, release string, log func(line string), env ...string) (ref string, err error) {
	log("==> Building image")
	image, err := f.Push(ctx, release, "", env...)
	if err != nil {
		return "", err
	}
	log("image: " + image.Ref)
	log("image size: " + megabytes(image.Size))
	return image.Ref, nil
}

func megabytes(size int64) string { return fmt.Sprintf("%d MB", (size+999_999)/1_000_000) }
