package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"flydeploy/cli/demo"
	"flydeploy/engine"
	"flydeploy/tui"
	"flydeploy/tui/plain"
)

// counterThatFails is the first one that version 3 of the sample app does not migrate.
const counterThatFails = 500

type demoFlags struct {
	deploy  deploySettings
	world   demo.Options
	upgrade int // version of the sample app
	serve   bool
}

func demoCommand(signals *interrupts) *cobra.Command {
	f := demoFlags{deploy: defaultDeploy()}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Upgrade real BEAM machines on this computer, in the same console",
		Long: `Starts a Fly on this computer: Machines API, image registry and S3, with machines that are real
Elixir releases in real BEAM nodes. Sends steady traffic to every machine, and opens the console.
Version 2 of the sample app changes the shape of 2,000 processes' states on each machine;
version 3 fails to migrate some of them, and every machine rolls back. Version 4 is careless: the plan stops it
with three blockers, and what they say comes true if you accept them.`,
		Example: `  flydeploy demo
  flydeploy demo --upgrade 3
  flydeploy demo --upgrade 4
  flydeploy demo --serve
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
	cmd.Flags().IntVar(&f.world.Machines, "machines", 6, "number of machines")
	cmd.Flags().IntVar(&f.world.Counters, "counters", 2000, "processes on each machine")
	cmd.Flags().IntVar(&f.upgrade, "upgrade", 2, "version of the sample app to deploy: 2, 3, whose migration fails, or 4, which the plan blocks")
	cmd.Flags().BoolVar(&f.serve, "serve", false, "say how other terminals join the same fleet with consoles of their own, and go on until q")
	registerIsolation(cmd, (*string)(&f.world.Isolation))
	return cmd
}

func (f demoFlags) check() error {
	switch {
	case f.upgrade < 2 || f.upgrade > 4:
		return usage("--upgrade is 2, 3 or 4")
	case f.world.Machines < 1 || f.world.Machines > 50:
		return usage("--machines is between 1 and 50")
	case f.world.Counters < 1:
		return usage("--counters must be at least 1")
	case f.upgrade == 3 && f.world.Counters < counterThatFails:
		return usage("version 3 fails to migrate every %dth process: with --upgrade 3, --counters must be at least %d", counterThatFails, counterThatFails)
	case f.serve && f.deploy.engine.Yes:
		return usage("--serve opens a console, and --yes deploys at once: leave out one of them")
	case f.deploy.readOnly && f.deploy.engine.Yes:
		return usage("--read-only does not let the demo deploy, and --yes confirms a deploy: leave out one of them")
	}
	return checkIsolation(string(f.world.Isolation))
}

func runDemo(cmd *cobra.Command, f demoFlags, signals *interrupts) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	f.deploy.readFile(cmd)
	out, err := f.deploy.chooseOutput(f.deploy.asks())
	if err != nil {
		return err
	}
	if out != outputConsole && !f.deploy.engine.Yes {
		if f.serve {
			return usage("--serve needs a terminal")
		}
		return usage("without a console nobody can confirm the plan: give --yes")
	}
	f.deploy.name = demo.App
	f.deploy.complete(project{}, cmd.Flags().Changed)
	if err := f.deploy.check(); err != nil {
		return err
	}
	d, err := demo.Start(cmd.Context(), f.world, func(what string) { fmt.Fprintln(cmd.ErrOrStderr(), "demo: "+what) })
	if d != nil {
		defer func() { err = errors.Join(err, d.Close()) }()
	}
	if err != nil {
		return err
	}
	c, err := f.connect(d, signals)
	if err != nil {
		return err
	}
	if f.serve {
		return f.runServed(cmd, d, c)
	}
	return f.run(cmd, d, c, out)
}

// connect reaches the local Fly as any other: by base URL and token.
func (f demoFlags) connect(d *demo.Demo, signals *interrupts) (*connection, error) {
	build := func(ctx context.Context, log func(string)) (string, error) { return d.Build(ctx, f.upgrade, log) }
	return connectHere(d, f.deploy.appSettings, build, signals)
}

// run shows one deploy in plain lines, or the console that operators use, and tells afterwards what the outside saw.
func (f demoFlags) run(cmd *cobra.Command, d *demo.Demo, c *connection, out output) error {
	var last *engine.Result
	var err error
	if out == outputConsole {
		last, _, err = c.console(cmd, f.deploy, tui.Options{Org: "demo", Header: d.Header})
		if err != nil || last == nil {
			return err
		}
	} else {
		s := f.deploy.engine
		s.Owner = localUser()
		deploy, notStarted := c.start(cmd.Context(), s)
		if notStarted != nil {
			return notStarted
		}
		err = c.follow(cmd, deploy, out)
		ended := deploy.Result()
		last = &ended
	}
	result := d.Judge(context.WithoutCancel(cmd.Context()), *last)
	switch {
	case err != nil:
	case out == outputJSON:
		err = plain.Encode(cmd.OutOrStdout(), result)
	case out == outputMarkdown:
		err = result.Print(cmd.ErrOrStderr())
	default:
		err = result.Print(cmd.OutOrStdout())
	}
	if err != nil {
		return unwritten(err, result.Result)
	}
	if err := outcomeOf(result.Result); err != nil {
		return err
	}
	return result.Check()
}
