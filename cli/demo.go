package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/examples/counter"
	"flydeploy/fly"
	"flydeploy/fly/local"
	"flydeploy/text"
	"flydeploy/tui"
	"flydeploy/tui/plain"
)

const (
	demoApp  = "counter"
	demoPort = 8080
	// demoReadyWithin bounds the boot of all machines.
	demoReadyWithin = 2 * time.Minute
	// counterThatFails is the first one that version 3 of the sample app does not migrate.
	counterThatFails = 500
)

var isolations = []local.Isolation{local.Auto, local.Namespaces, local.Processes}

var demoRegions = []string{"ams", "fra", "ord"}

type demoFlags struct {
	deploy    deploySettings
	machines  int
	counters  int
	upgrade   int
	isolation string
}

func demoCommand(signals *interrupts) *cobra.Command {
	f := demoFlags{deploy: defaultDeploy()}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Upgrade real BEAM machines on this computer, in the same console",
		Long: `Starts a Fly on this computer: Machines API, image registry and S3, with machines that are real
Elixir releases in real BEAM nodes. Sends steady traffic at every machine, and opens the console.
Version 2 of the sample app changes the shape of 2,000 processes' states on each machine;
version 3 fails to migrate some of them, and every machine rolls back.`,
		Example: `  flydeploy demo
  flydeploy demo --upgrade 3
  flydeploy demo --yes --output json --machines 4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, f, signals) },
	}
	// The demo has an app, a bucket and a builder of its own.
	f.deploy.registerRegion(cmd)
	f.deploy.registerPlan(cmd)
	f.deploy.registerCommit(cmd)
	f.deploy.screenSettings.register(cmd)
	f.deploy.registerReadOnly(cmd)
	f.deploy.registerYes(cmd)
	f.deploy.registerOutput(cmd)
	cmd.Flags().IntVar(&f.machines, "machines", 6, "number of machines")
	cmd.Flags().IntVar(&f.counters, "counters", 2000, "processes on each machine")
	cmd.Flags().IntVar(&f.upgrade, "upgrade", 2, "version of the sample app to deploy: 2, or 3, whose migration fails")
	cmd.Flags().StringVar(&f.isolation, "isolation", string(local.Auto), "how machines run: auto, namespaces or processes")
	return cmd
}

func (f demoFlags) check() error {
	switch {
	case f.upgrade != 2 && f.upgrade != 3:
		return usage("--upgrade is 2 or 3")
	case f.machines < 1 || f.machines > 50:
		return usage("--machines is between 1 and 50")
	case f.counters < 1:
		return usage("--counters must be at least 1")
	case f.upgrade == 3 && f.counters < counterThatFails:
		return usage("version 3 fails to migrate every %dth process: with --upgrade 3, --counters must be at least %d", counterThatFails, counterThatFails)
	case !slices.Contains(isolations, local.Isolation(f.isolation)):
		return usage("--isolation is auto, namespaces or processes, not %q", f.isolation)
	case f.deploy.readOnly && f.deploy.engine.Yes:
		return usage("--read-only keeps the demo from deploying, and --yes confirms a deploy: leave out one of them")
	}
	return nil
}

func runDemo(cmd *cobra.Command, f demoFlags, signals *interrupts) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	out, err := f.deploy.chooseOutput(f.deploy.asks())
	if err != nil {
		return err
	}
	if out != outputConsole && !f.deploy.engine.Yes {
		return usage("without a console nobody can confirm the plan: give --yes")
	}
	f.deploy.name = demoApp
	f.deploy.complete(project{}, cmd.Flags().Changed)
	if err := f.deploy.check(); err != nil {
		return err
	}
	d, err := startDemo(cmd.Context(), f, cmd.ErrOrStderr())
	if d != nil {
		defer func() { err = errors.Join(err, d.close()) }()
	}
	if err != nil {
		return err
	}
	c, err := d.connection()
	if err != nil {
		return err
	}
	c.signals = signals
	return d.run(cmd, c, out)
}

// demo is a local Fly with the sample app on it, and traffic.
type demo struct {
	flags   demoFlags
	fly     *local.Fly
	source  string // folder of the sample app's source
	say     io.Writer
	clients map[string]*counter.Client
	before  map[string]counter.Snapshot
	traffic *counter.Traffic
}

// startDemo brings everything up. What it gives must be closed, also where it failed half-way.
func startDemo(ctx context.Context, f demoFlags, say io.Writer) (*demo, error) {
	d := &demo{flags: f, say: say, clients: map[string]*counter.Client{}, before: map[string]counter.Snapshot{}}
	var err error
	d.fly, err = local.Start(ctx, local.Options{App: demoApp, Isolation: local.Isolation(f.isolation)})
	if err != nil {
		return nil, err
	}
	folder, err := d.fly.TempDir()
	if err != nil {
		return d, err
	}
	d.source = filepath.Join(folder, "counter")
	if err := counter.WriteTo(d.source); err != nil {
		return d, err
	}
	started := time.Now()
	d.tell("building version 1 of the sample app …")
	image, err := d.build(ctx, 1, func(string) {})
	if err != nil {
		return d, err
	}
	d.tell("starting %s, each a BEAM node with %s …", text.Counted(f.machines, "machine"), text.Counted(f.counters, "process"))
	if err := d.launch(ctx, image); err != nil {
		return d, err
	}
	if err := d.startTraffic(ctx); err != nil {
		return d, err
	}
	d.tell("ready after %.1f s", time.Since(started).Seconds())
	return d, nil
}

func (d *demo) tell(format string, args ...any) { fmt.Fprintf(d.say, "demo: "+format+"\n", args...) }

// build stands where `fly deploy --build-only --push` stands on Fly.
func (d *demo) build(ctx context.Context, version int, log func(string)) (string, error) {
	return d.fly.Build(ctx, d.source, []string{fmt.Sprintf("COUNTER_VERSION=%d", version)}, log)
}

func (d *demo) launch(ctx context.Context, image string) error {
	ctx, cancel := context.WithTimeout(ctx, demoReadyWithin)
	defer cancel()
	var group sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for i := range d.flags.machines {
		group.Go(func() {
			id, client, err := d.launchOne(ctx, image, demoRegions[i%len(demoRegions)])
			mu.Lock()
			defer mu.Unlock()
			d.clients[id] = client
			errs = append(errs, err)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (d *demo) launchOne(ctx context.Context, image, region string) (string, *counter.Client, error) {
	id, err := d.fly.Launch(ctx, local.MachineSpec{
		Region: region, Image: image, Env: map[string]string{"COUNTERS": fmt.Sprint(d.flags.counters)},
	})
	if err != nil {
		return id, nil, err
	}
	client := counter.NewClient(func(ctx context.Context) (net.Conn, error) { return d.fly.Dial(ctx, id, demoPort) })
	return id, client, client.AwaitHealth(ctx)
}

func (d *demo) startTraffic(ctx context.Context) error {
	var targets []counter.Target
	for id, client := range d.clients {
		snapshot, err := client.Snapshot(ctx)
		if err != nil {
			return fmt.Errorf("machine %s: %w", id, err)
		}
		d.before[id] = snapshot
		targets = append(targets, counter.Target{Machine: id, Client: client})
	}
	var err error
	d.traffic, err = counter.StartTraffic(context.WithoutCancel(ctx), targets, counter.DefaultLoad)
	return err
}

// connection reaches the local Fly as any other: by base URL and token.
func (d *demo) connection() (*connection, error) {
	fleet, err := fly.New(fly.Options{App: demoApp, Token: d.fly.Token(), BaseURL: d.fly.APIURL(), UserAgent: "flydeploy/" + version})
	if err != nil {
		return nil, err
	}
	return &connection{app: d.flags.deploy.appSettings, fleet: fleet, passing: true, build: func(ctx context.Context, log func(string)) (string, error) {
		return d.build(ctx, d.flags.upgrade, log)
	}}, nil
}

func (d *demo) run(cmd *cobra.Command, c *connection, out output) error {
	if out == outputConsole {
		return d.console(cmd, c)
	}
	s := d.flags.deploy.engine
	s.Owner = localUser()
	deploy := c.start(cmd.Context(), s)
	err := c.follow(cmd, deploy, out)
	result := d.judge(context.WithoutCancel(cmd.Context()), deploy.Result())
	switch {
	case err != nil:
	case out == outputJSON:
		err = plain.Encode(cmd.OutOrStdout(), result)
	default:
		err = result.print(cmd.OutOrStdout())
	}
	if err != nil {
		return unwritten(err, result.Result)
	}
	return result.end()
}

// console opens the same console that operators use, and tells afterwards what the outside saw.
func (d *demo) console(cmd *cobra.Command, c *connection) error {
	last, err := c.console(cmd, d.flags.deploy, tui.Options{Org: "demo", Header: d.header})
	if err != nil || last == nil {
		return err
	}
	result := d.judge(context.WithoutCancel(cmd.Context()), *last)
	if err := result.print(cmd.OutOrStdout()); err != nil {
		return unwritten(err, result.Result)
	}
	return result.end()
}

// header is the console's line about the traffic.
func (d *demo) header() string {
	r := d.traffic.Report(nil)
	return fmt.Sprintf("traffic: %d requests, %d failed, longest %.0f ms", r.Requests, r.Failed, r.MaxLatencyMS)
}

func (d *demo) close() error {
	if d.traffic != nil {
		d.traffic.Stop()
	}
	return d.fly.Close()
}
