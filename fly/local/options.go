package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// defaultReleaseRoot is where the usual Dockerfile of an Elixir release puts it.
const defaultReleaseRoot = "/app"

// Options say what Start brings up.
type Options struct {
	// App is the name of the Fly app that the machines belong to, Org its organisation's slug ("personal" if empty).
	App string
	Org string
	// PrimaryRegion is where a machine goes that names no region ("ams" if empty).
	PrimaryRegion string
	// Bucket is made in S3 ("<App>-releases" if empty).
	Bucket string
	// Secrets are in the environment of every machine, as `fly secrets set` puts them there. What a machine needs to
	// reach S3 is there anyway.
	Secrets map[string]string
	// StateDir holds one folder for each running Fly (a folder in the user's cache folder if empty).
	StateDir string
	// Isolation says how machines run (Auto if empty).
	Isolation Isolation
	// DiskMB is the size of a machine's disk, whose content is held in memory (1024 if 0). It needs namespaces.
	DiskMB int
	// ReleaseRoot is where images hold the release ("/app" if empty). Another one needs namespaces.
	ReleaseRoot string
	// NoRateLimits lifts the limits on requests that api.machines.dev has.
	NoRateLimits bool
	// ExecsInTurn has a machine run one command at a time, as the published source of Fly's init does (superfly/init-snapshot,
	// src/api/exec.rs, of 2021). Whether today's does is not known.
	ExecsInTurn bool
}

func (o Options) withDefaults() (Options, error) {
	if o.App == "" {
		return o, errors.New("start local fly: an app's name is needed")
	}
	if o.Org == "" {
		o.Org = "personal"
	}
	if o.PrimaryRegion == "" {
		o.PrimaryRegion = "ams"
	}
	if o.Bucket == "" {
		o.Bucket = o.App + "-releases"
	}
	if o.ReleaseRoot == "" {
		o.ReleaseRoot = defaultReleaseRoot
	}
	if o.DiskMB == 0 {
		o.DiskMB = 1024
	}
	if o.StateDir == "" {
		o.StateDir = defaultStateDir()
	}
	dir, err := filepath.Abs(o.StateDir)
	o.StateDir = dir
	return o, err
}

func defaultStateDir() string {
	if cache, err := os.UserCacheDir(); err == nil {
		return filepath.Join(cache, "flydeploy", "local")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("flydeploy-local-%d", os.Getuid()))
}
