package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/agent/kept"
	"flydeploy/engine/deploy"
	"flydeploy/engine/doctor"
	"flydeploy/engine/target"
	"flydeploy/fly"
)

// connection is the app's Machines API, and its bucket once a machine has said where that is.
type connection struct {
	app      appSettings
	fleet    *fly.Client
	readOnly bool // nothing is created, not even a temporary machine

	// Where deploys are started:
	build   engine.Build
	image   engine.ReadImage
	hooks   openHooks
	cold    engine.Cold // nil where no plan goes out cold
	passing bool        // the fleet ends with this program: the demo's
	signals *interrupts

	// tell says why it takes a while; nil where nobody listens.
	tell func(string)

	mu     sync.Mutex
	target *target.Target
	unread error // of the temporary machine that was asked for the storage's settings; it is asked once
}

func connect(app appSettings) (*connection, error) {
	token, _, err := fly.Token()
	if err != nil {
		return nil, err
	}
	fleet, err := newFlyClient(app, token)
	if err != nil {
		return nil, err
	}
	return &connection{app: app, fleet: fleet}, nil
}

// connectDeploy is connect for a command that deploys.
func connectDeploy(d deploySettings, signals *interrupts) (*connection, error) {
	c, err := connect(d.appSettings)
	if err != nil {
		return nil, err
	}
	builder := d.builder
	builder.Token, _, _ = fly.Token() // connect has found one
	c.image = fly.Images{Token: builder.Token}.Read
	c.readOnly, c.build, c.cold, c.hooks, c.signals = d.readOnly, builder.Build, builder.Cold, d.hooks, signals
	if d.foreign {
		c.cold, c.build = nil, func(context.Context, func(string)) (string, error) { return "", errForeign(d.name) }
	}
	return c, nil
}

func newFlyClient(app appSettings, token string) (*fly.Client, error) {
	return fly.New(fly.Options{App: app.name, Token: token, UserAgent: "flydeploy/" + version, Container: app.container})
}

// start starts a deploy; signals let it settle before the process ends.
func (c *connection) start(ctx context.Context, s engine.Settings) (*deploy.Deployment, error) {
	hooks, err := c.hooks.open()
	if err != nil {
		return nil, err
	}
	d := deploy.Start(ctx, s, deploy.Ports{
		Fleet: c.fleet, Storage: c.app.openStorage, Build: c.build, Image: c.image, Cold: c.cold, Agents: kept.Agents(), Hooks: hooks, Keys: c.app.keys, Leases: c.fleet,
	})
	c.signals.settles(d)
	return d, nil
}

// overview reads the fleet, and the bucket's metadata and lock. A machine is asked once where the bucket is; until that
// succeeds the overview has only the machines, and the reason.
func (c *connection) overview(ctx context.Context) (engine.Overview, error) {
	target, problem := c.storage(ctx)
	if target == nil {
		o, err := doctor.Look(ctx, c.app.name, c.fleet, nil, nil)
		o.Storage = engine.AsProblem(problem)
		return o, err
	}
	o, err := doctor.Look(ctx, c.app.name, c.fleet, target.Storage.Locks, target.Storage.Records)
	o.OTPApp = target.OTPApp
	return o, err
}

// inspected is the overview, with what each machine's VM has loaded.
func (c *connection) inspected(ctx context.Context) (engine.Overview, error) {
	o, err := c.overview(ctx)
	if err == nil {
		c.inspect(ctx, &o, nil)
	}
	return o, err
}

// inspect has o say what each machine's VM has loaded, and calls told, which may be nil, with each machine that is done.
func (c *connection) inspect(ctx context.Context, o *engine.Overview, told func(engine.Machine)) {
	o.Release = c.app.release
	doctor.Inspect(ctx, o, c.fleet, told)
}

func (c *connection) storage(ctx context.Context) (*target.Target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.target != nil {
		return c.target, nil
	}
	found, err := c.openTarget(ctx)
	if err == nil {
		c.target = found
	}
	return found, err
}

// openTarget asks a running machine where the storage is, or a temporary one if none is running, unless the command line
// says it all.
func (c *connection) openTarget(ctx context.Context) (*target.Target, error) {
	a := c.app
	if a.otpApp == "" || a.storageSource() == "" {
		found, err := target.Connect(ctx, a.target(), c.fleet, a.openStorage)
		if errors.Is(err, target.ErrNoneRuns) && !c.readOnly {
			return c.askStopped(ctx)
		}
		return found, err
	}
	storage, err := a.openStorage(ctx, a.otpApp, nil)
	if err != nil {
		return nil, err
	}
	return &target.Target{OTPApp: a.otpApp, Storage: storage}, nil
}

func (c *connection) askStopped(ctx context.Context) (*target.Target, error) {
	if c.unread != nil {
		return nil, c.unread
	}
	if c.tell != nil {
		c.tell("no machine runs the release: asking a temporary machine where the bucket is")
	}
	var found *target.Target
	found, c.unread = target.ConnectStopped(ctx, c.app.target(), c.app.temporary, c.fleet, c.app.openStorage)
	return found, c.unread
}

// tellOn tells a command's user why it takes a while.
func tellOn(cmd *cobra.Command) func(string) {
	return func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "flydeploy: "+text) }
}
