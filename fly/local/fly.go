package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"flydeploy/fly/local/api"
	"flydeploy/fly/local/described"
	"flydeploy/fly/local/fault"
	"flydeploy/fly/local/isolation"
	"flydeploy/fly/local/machine"
	"flydeploy/fly/local/registry"
	"flydeploy/fly/local/run"
	"flydeploy/fly/local/storage"
)

// Fly is a running local Fly with one app.
type Fly struct {
	options  Options
	folder   run.Folder // its owner is this process
	shepherd *run.Shepherd
	servers  []*server
	tokens   api.Tokens
	faults   *fault.Faults

	storage     *storage.Store
	registry    *registry.Registry
	registryURL string
	host        isolation.Host
	machines    *machine.Fleet
	api         *api.API
	apiURL      string

	closing sync.Once
	closed  error
}

// Start brings up API, S3 and registry, with no machine yet. ctx bounds the start only; Close ends everything.
func Start(ctx context.Context, options Options) (*Fly, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	folder, err := run.Claim(options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("start local fly: %w", err)
	}
	f := &Fly{options: options, folder: folder, tokens: api.NewTokens(), faults: &fault.Faults{}}
	if err := f.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start local fly: %w", err), f.Close())
	}
	return f, nil
}

func (f *Fly) start(ctx context.Context) error {
	var err error
	if f.shepherd, err = run.StartShepherd(f.folder); err != nil {
		return err
	}
	s3, err := f.startStorage(ctx)
	if err != nil {
		return err
	}
	if err := f.startRegistry(ctx); err != nil {
		return err
	}
	front, err := f.listen(ctx)
	if err != nil {
		return err
	}
	f.apiURL = front.url()
	if f.host, err = isolation.New(f.options.Isolation, f.folder, f.options.DiskMB, []isolation.Service{front, s3}); err != nil {
		return err
	}
	if f.host.Kind() == Processes && f.options.ReleaseRoot != defaultReleaseRoot {
		return fmt.Errorf("a release's root other than %s needs namespaces", defaultReleaseRoot)
	}
	watch, err := described.FromEnvironment()
	if err != nil {
		return err
	}
	f.machines = f.newFleet()
	f.api = api.New(api.Config{
		App: f.options.App, Org: f.options.Org, Tokens: f.tokens, Machines: f.machines, Faults: f.faults,
		NoRateLimits: f.options.NoRateLimits, Watch: watch,
	})
	front.serve(f.api)
	return nil
}

func (f *Fly) startStorage(ctx context.Context) (*server, error) {
	s3, err := f.listen(ctx)
	if err != nil {
		return nil, err
	}
	if f.storage, err = storage.New(ctx, s3.url(), f.options.Bucket); err != nil {
		return nil, err
	}
	s3.serve(f.storage.Handler(f.faults))
	return s3, nil
}

func (f *Fly) startRegistry(ctx context.Context) error {
	server, err := f.listen(ctx)
	if err != nil {
		return err
	}
	f.registryURL = server.url()
	if f.registry, err = registry.New(f.folder.Path("registry"), server.Address(), f.tokens.Deploy); err != nil {
		return err
	}
	server.serve(f.registry.Handler(f.faults))
	return nil
}

func (f *Fly) newFleet() *machine.Fleet {
	secrets := f.storage.Info().Environment()
	maps.Copy(secrets, f.options.Secrets)
	images := registry.NewImages(f.registry, f.folder.Path("images"))
	return machine.NewFleet(machine.Config{
		App: f.options.App, PrimaryRegion: f.options.PrimaryRegion, Secrets: secrets, Folder: f.folder, Host: f.host,
		ExecsInTurn: f.options.ExecsInTurn,
		Pull:        func(ctx context.Context, ref string) (machine.Image, error) { return images.Pull(ctx, ref) },
	})
}

// listen makes a server, which ends with the Fly.
func (f *Fly) listen(ctx context.Context) (*server, error) {
	s, err := listen(ctx)
	if err == nil {
		f.servers = append(f.servers, s)
	}
	return s, err
}

// APIURL is the base URL of the Machines API, for FLY_FLAPS_BASE_URL, and of the API with the logs, for FLY_API_BASE_URL.
func (f *Fly) APIURL() string { return f.apiURL }

// Token may do everything to the app, like a deploy token.
func (f *Fly) Token() string { return f.tokens.Deploy }

// ExecToken may list and get machines and run commands in them, like a token of `fly tokens create machine-exec`.
func (f *Fly) ExecToken() string { return f.tokens.Exec }

// S3 tells where the object store is and how to sign requests to it.
func (f *Fly) S3() S3Info { return f.storage.Info() }

// RegistryURL is where the images of registry.fly.io really are. The user's name is "x", the password the token.
func (f *Fly) RegistryURL() string { return f.registryURL }

// Folder is the run's: what else belongs to it may lie there. It goes with the Fly, also where this process is killed.
func (f *Fly) Folder() string { return string(f.folder) }

// Mark is a variable for the environment of other processes, NAME=VALUE: those that have it end where this process is killed.
func (f *Fly) Mark() string { return f.folder.Mark() }

// Faults switches faults on and off.
func (f *Fly) Faults() *Faults { return f.faults }

// Isolation is how machines run: Namespaces or Processes.
func (f *Fly) Isolation() Isolation { return f.host.Kind() }

// Close ends every machine and server and removes the run's folder. It may be called twice.
func (f *Fly) Close() error {
	f.closing.Do(func() {
		if f.machines != nil {
			f.machines.Close()
		}
		var errs []error
		for _, s := range f.servers {
			errs = append(errs, s.close())
		}
		if f.shepherd != nil {
			f.shepherd.Dismiss()
		}
		errs = append(errs, run.RemoveTree(string(f.folder)))
		if err := errors.Join(errs...); err != nil {
			f.closed = fmt.Errorf("close local fly: %w", err)
		}
	})
	return f.closed
}
