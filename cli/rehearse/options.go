package rehearse

import (
	"strings"
	"time"

	"flydeploy/engine"
)

// Options of a rehearsal.
type Options struct {
	App      string // of Fly
	Old, New string // each a release's folder, an archive of it, or an image's name
	Machines int
	Root     string // the release's folder in images, and on the machines
	// Env is every machine's environment, as secrets are; MachineEnv what fly.toml has in [env]. Neither may name a bucket.
	Env, MachineEnv Env
	Boot            time.Duration // how long a release may take to boot
	Traffic         Traffic
	Isolation       string // auto, namespaces or processes
	Read            engine.ReadImage
	Describe        Describe
}

// Traffic is what the operator wants to run against the machines all the while.
type Traffic struct {
	Command string // a line for sh; "" for none
	Log     string // the file that takes its output; "" for one that goes with the rehearsal
}

// AppOf gives a name for the app whose release is named so.
func AppOf(given string) string {
	s, err := sourceOf(given)
	switch {
	case err != nil:
	case s.kind == image:
		name, _, _ := strings.Cut(given[strings.LastIndex(given, "/")+1:], "@")
		name, _, _ = strings.Cut(name, ":")
		return name
	case s.kind == folder:
		if r, err := releaseIn(given); err == nil {
			return strings.ReplaceAll(r.name, "_", "-")
		}
	}
	return "app"
}
