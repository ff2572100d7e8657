package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

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
	// reach S3 is there without it.
	Secrets map[string]string
	// StateDir holds one folder for each running Fly (the user's cache folder if empty).
	StateDir string
	// Isolation says how machines run (Auto if empty).
	Isolation Isolation
	// DiskMB is the size of a machine's disk, whose content is held in memory (1024 if 0). It takes namespaces.
	DiskMB int
	// ReleaseRoot is where images hold the release ("/app" if empty). Another one takes namespaces.
	ReleaseRoot string
	// NoRateLimits lifts the limits on requests that api.machines.dev has.
	NoRateLimits bool
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
		o.ReleaseRoot = "/app"
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

// Fly is a running local Fly with one app.
type Fly struct {
	options  Options
	folder   string // of this run; its owner is this process
	shepherd *shepherd
	tokens   tokens
	secrets  map[string]string

	faults   *Faults
	api      *service
	s3       *objectStore
	registry *imageRegistry
	images   *imageCache
	machines *fleet
	isolate  isolation

	// background outlives the context of Start and ends with Close.
	background context.Context
	cancel     context.CancelFunc
	closing    sync.Once
	closed     error
}

// Start brings up API, S3 and registry, with no machine yet. ctx bounds the start only; Close ends everything.
func Start(ctx context.Context, options Options) (*Fly, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	folder, err := claimRunFolder(options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("start local fly: %w", err)
	}
	f := &Fly{options: options, folder: folder, tokens: newTokens(), faults: newFaults()}
	f.background, f.cancel = context.WithCancel(context.Background())
	if err := f.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start local fly: %w", err), f.Close())
	}
	return f, nil
}

func (f *Fly) start(ctx context.Context) error {
	var err error
	if f.shepherd, err = startShepherd(f.folder); err != nil {
		return err
	}
	if f.s3, err = startObjectStore(ctx, f.options.Bucket, f.faults); err != nil {
		return err
	}
	f.secrets = f.s3.info().environment()
	for name, value := range f.options.Secrets {
		f.secrets[name] = value
	}
	if f.registry, err = startRegistry(ctx, filepath.Join(f.folder, "registry"), f.tokens, f.faults); err != nil {
		return err
	}
	f.images = newImageCache(f.registry, filepath.Join(f.folder, "images"))
	if f.api, err = listen(ctx); err != nil {
		return err
	}
	isolate, err := newIsolation(f.options.Isolation, f.folder, f.options.DiskMB, []*service{f.api, f.s3.service})
	if err != nil {
		return err
	}
	if isolate.kind() == Processes && f.options.ReleaseRoot != "/app" {
		return errors.New("a release's root other than /app takes namespaces")
	}
	f.isolate = isolate
	f.machines = newFleet(f)
	f.api.serve(newAPI(f))
	return nil
}

// APIURL is the base URL of the Machines API, for FLY_FLAPS_BASE_URL.
func (f *Fly) APIURL() string { return f.api.url() }

// Token may do everything to the app, like a deploy token.
func (f *Fly) Token() string { return f.tokens.deploy }

// ExecToken may list and get machines and run commands in them, like a token of `fly tokens create machine-exec`.
func (f *Fly) ExecToken() string { return f.tokens.exec }

// S3 tells where the object store is and how to sign requests to it.
func (f *Fly) S3() S3Info { return f.s3.info() }

// RegistryURL is where the images of registry.fly.io really are. The user's name is "x", the password the token.
func (f *Fly) RegistryURL() string { return f.registry.service.url() }

// Faults switches faults on and off.
func (f *Fly) Faults() *Faults { return f.faults }

// Isolation is how machines run: Namespaces or Processes.
func (f *Fly) Isolation() Isolation { return f.isolate.kind() }

// TempDir makes a folder for the caller. It goes with the run, also when this process is killed.
func (f *Fly) TempDir() (string, error) { return os.MkdirTemp(f.folder, "temp-") }

// Close ends every machine and server and removes the run's folder. It may be called twice.
func (f *Fly) Close() error {
	f.closing.Do(func() {
		f.cancel()
		if f.machines != nil {
			f.machines.wait()
		}
		var errs []error
		if f.registry != nil {
			errs = append(errs, f.registry.service.close())
		}
		if f.s3 != nil {
			errs = append(errs, f.s3.service.close())
		}
		if f.api != nil {
			errs = append(errs, f.api.close())
		}
		if f.shepherd != nil {
			f.shepherd.dismiss()
		}
		errs = append(errs, removeTree(f.folder))
		if err := errors.Join(errs...); err != nil {
			f.closed = fmt.Errorf("close local fly: %w", err)
		}
	})
	return f.closed
}
