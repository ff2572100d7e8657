package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/tui"
	"flydeploy/tui/plain"
)

func hotCommand(signals *interrupts) *cobra.Command {
	d := defaultDeploy()
	cmd := &cobra.Command{
		Use:   "hot [flags] [-- flags of fly deploy]",
		Short: "Build the app and hot-upgrade its machines",
		Long: `Builds the new image, packs its release, and upgrades the machines while they run.
In a terminal the console shows the plan and asks before anything is suspended.
Without a terminal, --yes confirms the plan in advance.
With --trial 10m it runs, is watched, and is recorded only once ` + "`flydeploy confirm`" + ` says so; README.md says what becomes of it otherwise.
With --or-cold a plan that cannot go hot ends as a cold deploy of the same image.
Commands of [hooks] in flydeploy.toml run at its moments: before_build, planned, before_commit, after_commit, unhealthy, ended;
a before_* that fails stops it before anything is suspended. [notify] posts the outcome. README.md describes both.
What follows -- goes to ` + "`fly deploy --build-only`" + `: secrets of the build, another Dockerfile, --local-only.

Exit codes: 0 succeeded, 1 failed, 2 wrong usage, 3 blocked by the plan, 4 locked, 5 partial, 6 unhealthy, 130 cancelled.`,
		Example: `  flydeploy hot
  flydeploy hot --config fly-staging.toml
  flydeploy hot --skip-build --image registry.fly.io/my-app:deployment-123
  flydeploy hot --region fra --yes --output json
  flydeploy hot -- --build-secret OBAN_KEY="$OBAN_KEY" --dockerfile Dockerfile.prod
  flydeploy hot --resume                 # finish what a killed console left behind`,
		Args: d.passOn,
		RunE: func(cmd *cobra.Command, _ []string) error { return runHot(cmd, d, signals) },
	}
	d.register(cmd)
	d.registerYes(cmd)
	d.registerOutput(cmd)
	fs, e := cmd.Flags(), &d.engine
	fs.BoolVar(&e.Force, "force", false, "override a deploy lock that somebody else holds")
	fs.Var(inSeconds(&e.LockWait), "lock-wait", "how long to wait for somebody else's deploy lock (without a console)")
	fs.BoolVar(&e.Resume, "resume", false, "finish the last deploy, if it failed or its console was killed")
	fs.StringVar(&e.To, "to", "", "deploy the code of an earlier deploy again, by its ID (see history)")
	fs.BoolVar(&e.DryRun, "dry-run", false, "stop at the plan: take no lock, suspend nothing; only the pushed image stays")
	return cmd
}

func runHot(cmd *cobra.Command, d deploySettings, signals *interrupts) error {
	if d.readOnly && !d.engine.DryRun {
		return usage("--read-only does not let this deploy: leave it out to deploy, give --dry-run for the plan alone, or look around with `flydeploy --read-only`")
	}
	d.readFile(cmd)
	out, err := d.chooseOutput(d.asks())
	if err != nil {
		return err
	}
	if err := d.load(cmd); err != nil {
		return err
	}
	if out != outputConsole && d.asks() {
		return usage("without a console nobody can confirm the plan: give --yes, --dry-run for the plan alone, or --accessible to be asked in plain lines")
	}
	if _, err := d.hooks.open(); err != nil { // what cannot be is told before anything else happens
		return err
	}
	c, err := connectDeploy(d, signals)
	if err != nil {
		return err
	}
	if out == outputConsole {
		result, _, err := c.console(cmd, d, tui.Options{StartDeploy: true})
		return exitOf(result, err)
	}
	deploy, err := c.start(cmd.Context(), identify(cmd.Context(), d.dir()).sign(d.engine))
	if err != nil {
		return err
	}
	return c.finish(cmd, deploy, out)
}

// finish shows a deploy in lines until everything is settled, then its result.
func (c *connection) finish(cmd *cobra.Command, d *deploy.Deployment, out output) error {
	result, err := c.told(cmd, d, out)
	if err != nil {
		return err
	}
	return outcomeOf(result)
}

// told shows a deploy in lines until everything is settled, and its result, which it gives.
func (c *connection) told(cmd *cobra.Command, d *deploy.Deployment, out output) (engine.Result, error) {
	err := c.follow(cmd, d, out)
	result := d.Result()
	if err == nil && out == outputJSON {
		err = plain.Encode(cmd.OutOrStdout(), result)
	}
	if err != nil {
		return result, unwritten(err, result)
	}
	return result, nil
}

// unwritten is the error of a deploy whose output could not be written. A success that nobody can read of is a failure.
func unwritten(err error, r engine.Result) error {
	outcome := r.Outcome
	if outcome == engine.OutcomeSucceeded {
		outcome = engine.OutcomeFailed
	}
	return failed{engine.NewProblem("output_lost", "the output could not be written", err, fmt.Sprintf(
		"The deploy has settled; it ended as: %s. `flydeploy status` shows what machines run.", r.Outcome)), outcome}
}

// follow renders the events until everything is settled, also after ctx has ended.
func (c *connection) follow(cmd *cobra.Command, d plain.Deployment, out output) error {
	defer c.signals.tellStopping(cmd.Context())()
	if out == outputJSON {
		return plain.JSON(cmd.Context(), cmd.OutOrStdout(), d)
	}
	if out == outputMarkdown {
		return plain.Markdown(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), d)
	}
	err := plain.Lines(cmd.Context(), cmd.OutOrStdout(), d, nil)
	if err == nil {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), plain.Summary(d.Result()))
	}
	return err
}

func outcomeOf(r engine.Result) error {
	if r.Outcome == engine.OutcomeSucceeded {
		return nil
	}
	return ended{r.Outcome}
}
