package rehearse

import (
	"context"
	"slices"
	"testing"

	"flydeploy/engine"
)

// runsAs stands for a registry that says of its one image how that runs.
func runsAs(d Described) Describe {
	return func(_ context.Context, image string) (Described, error) {
		if image != "registry.fly.io/my-app:v1@sha256:00" {
			return Described{}, engine.NewProblem("no_image", "read the image "+image, nil, "Check the image's name.")
		}
		return d, nil
	}
}

// What the Dockerfile sets is in the machines' environment, but for what speaks of the image's own system, and for a bucket.
func TestTheEnvironmentOfAnImage(t *testing.T) {
	d := Described{Env: []string{"PATH=/opt/bin", "LANG=en_US.UTF-8", "HOME=/root", "MIX_ENV=prod", "ERL_AFLAGS=-proto_dist inet6_tcp", "AWS_ACCESS_KEY_ID=AKIA123456", "EMPTY=", "odd", "1=2", "API_TOKEN=hunter2000"}}
	read := imageOf(aRelease(vmFor(thisComputer)), nil)
	r, err := source{"registry.fly.io/my-app:v1", image}.open(t.Context(), Options{Root: "/srv", Read: read, Describe: runsAs(d)}, t.TempDir(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	env, left := r.image.env()
	if want := []string{"LANG=en_US.UTF-8", "MIX_ENV=prod", "ERL_AFLAGS=-proto_dist inet6_tcp", "EMPTY=", "API_TOKEN=hunter2000"}; !slices.Equal(env, want) || !slices.Equal(left, []string{"AWS_ACCESS_KEY_ID"}) {
		t.Errorf("%q, without %q", env, left)
	}
	if says := r.image.secrets().hide("prod: hunter2000 is no token"); says != "prod: [redacted] is no token" {
		t.Error(says)
	}
}

// An image starts as it says, where that is a program of the release.
func TestHowAnImageStarts(t *testing.T) {
	dir := write(t, t.TempDir(), aRelease(nil))
	for name, test := range map[string]struct {
		image Described
		want  []string
	}{
		"absolute":                {Described{Command: []string{"/app/bin/my_app", "start"}}, []string{"/app/bin/my_app", "start"}},
		"below its folder":        {Described{Command: []string{"bin/other", "-x"}, WorkDir: "/app"}, []string{"/app/bin/other", "-x"}},
		"by a shell":              {Described{Command: []string{"/bin/sh", "-c", "/app/bin/my_app start"}}, nil},
		"by another program":      {Described{Command: []string{"/usr/bin/tini", "--", "/app/bin/my_app", "start"}}, nil},
		"by PATH":                 {Described{Command: []string{"my_app"}, WorkDir: "/app/bin"}, nil},
		"what is not there":       {Described{Command: []string{"/app/bin/none"}}, nil},
		"a folder":                {Described{Command: []string{"/app/bin"}}, nil},
		"out of the release":      {Described{Command: []string{"/app/../usr/bin/env"}}, nil},
		"by nothing":              {Described{}, nil},
		"in a folder named alike": {Described{Command: []string{"/application/bin/my_app"}}, nil},
	} {
		if got := (release{dir: dir, name: "my_app", image: test.image}).command("/app"); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
