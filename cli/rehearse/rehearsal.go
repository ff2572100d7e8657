// Package rehearse brings up a Fly on this computer with machines that run an app's release of before, so that the upgrade to another one can
// be tried on them.
package rehearse

import (
	"context"
	"os"
	"strings"
	"syscall"

	"flydeploy/engine"
	"flydeploy/fly/local"
	"flydeploy/text"
)

// Rehearsal is a local Fly whose machines run the old release, and which can make an image of the new one.
type Rehearsal struct {
	options  Options
	fly      *local.Fly
	tell     func(string)
	old, new release
	machines []string // their IDs
	traffic  *traffic // nil for none
}

// Open reads both releases, and brings up a Fly without machines. What it gives must be closed, also where it failed half-way; nil needs no
// end. What lies on this computer is looked at before anything is fetched.
func Open(ctx context.Context, o Options, tell func(string)) (r *Rehearsal, err error) {
	defer func() { err = ofDisk(err) }()
	old, err := sourceOf(o.Old)
	if err != nil {
		return nil, err
	}
	upgrade, err := sourceOf(o.New)
	if err != nil {
		return nil, err
	}
	r = &Rehearsal{options: o, tell: tell}
	if r.fly, err = local.Start(ctx, local.Options{App: o.App, Isolation: local.Isolation(o.Isolation), ReleaseRoot: o.Root, Secrets: o.Env}); err != nil {
		return nil, err
	}
	for _, kind := range []sourceKind{folder, archive, image} {
		for _, one := range []struct {
			source
			to *release
		}{{old, &r.old}, {upgrade, &r.new}} {
			if one.kind != kind {
				continue
			}
			if *one.to, err = one.open(ctx, o, r.fly.Folder(), tell); err != nil {
				return r, err
			}
		}
	}
	if r.old.erts != r.new.erts {
		tell("the releases have different Erlang VMs, " + text.Line(r.old.erts) + " and " + text.Line(r.new.erts) + ": only a cold deploy brings another, as the plan will say")
	}
	return r, nil
}

// Build makes the new release's image. It stands where `fly deploy --build-only --push` stands on Fly.
func (r *Rehearsal) Build(ctx context.Context, log func(string)) (string, error) {
	env, _ := r.new.image.env()
	image, err := r.fly.Image(ctx, r.new.dir, log, env...)
	return image, ofDisk(err)
}

// Launch makes the machines, waits until the old release has booted on each of them, and begins the traffic.
func (r *Rehearsal) Launch(ctx context.Context, fleet engine.Fleet) (err error) {
	defer func() { err = ofDisk(err) }()
	env, left := r.old.image.env()
	if len(left) > 0 {
		r.tell(LeftOut(left))
	}
	image, err := r.fly.Image(ctx, r.old.dir, func(string) {}, env...)
	if err != nil {
		return err
	}
	r.tell("booting " + text.Line(r.old.name) + " " + text.Line(r.old.version) + " on " + text.Counted(r.options.Machines, "machine") + " …")
	spec := local.MachineSpec{Image: image, Command: r.old.command(r.options.Root), Env: r.options.MachineEnv}
	if err := r.boot(ctx, fleet, spec); err != nil {
		return err
	}
	r.tellUnreached()
	r.tell("upgrading to " + text.Line(r.new.version) + " on trial, and back: there is nothing to confirm afterwards")
	if r.options.Traffic.Command == "" {
		return nil
	}
	r.traffic, err = startTraffic(r)
	return err
}

// ofDisk says what to do where there was no room. The local Fly's registry tells of that in words alone.
func ofDisk(err error) error {
	if err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return err
	}
	where := "this user's cache folder"
	if dir, err := os.UserCacheDir(); err == nil {
		where += ", " + dir
	}
	return engine.NewProblem("disk_full", "no space is left for the rehearsal's releases and machines in "+where, nil,
		"Make room there, a few times the release's size; on Linux XDG_CACHE_HOME names another folder.").WithCause(err)
}

// APIURL is the address of the local Fly's Machines API.
func (r *Rehearsal) APIURL() string { return r.fly.APIURL() }

// Token is one for that API.
func (r *Rehearsal) Token() string { return r.fly.Token() }

// Close ends the traffic, and the local Fly with its machines and all files.
func (r *Rehearsal) Close() error {
	if r.traffic != nil {
		_ = r.traffic.stop() // how it ended is a part of the result
	}
	return r.fly.Close()
}
