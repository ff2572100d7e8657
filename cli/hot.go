package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/tui"
	"flydeploy/tui/plain"
)

func hotCommand(signals *interrupts) *cobra.Command {
	flags := defaultFlags()
	cmd := &cobra.Command{
		Use:   "hot",
		Short: "Build the app and hot-upgrade its machines",
		Long: `Builds the new image, packs its release, and upgrades the machines while they run.
In a terminal the console shows the plan and asks before anything is suspended.
Without a terminal, --yes confirms the plan beforehand.

Exit codes: 0 succeeded, 1 failed, 2 usage, 3 blocked by the plan, 4 locked, 5 partial, 130 cancelled.`,
		Example: `  flydeploy hot
  flydeploy hot --config fly-staging.toml
  flydeploy hot --skip-build --image registry.fly.io/my-app:deployment-123
  flydeploy hot --region fra --yes --output json
  flydeploy hot --resume                 # finish what a killed console left`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runHot(cmd, flags, signals) },
	}
	flags.register(cmd)
	flags.registerYes(cmd)
	flags.registerOutput(cmd)
	cmd.Flags().BoolVar(&flags.force, "force", false, "override a deploy lock that somebody else holds")
	cmd.Flags().Var(&flags.lockWait, "lock-wait", "how long to wait for somebody else's deploy lock (without a console)")
	cmd.Flags().BoolVar(&flags.resume, "resume", false, "finish the last deploy, whose console was killed or which failed")
	cmd.Flags().StringVar(&flags.to, "to", "", "deploy the code of an earlier deploy again, by its ID (see history)")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "end with the plan: no lock, nothing suspended; only the pushed image stays")
	return cmd
}

func runHot(cmd *cobra.Command, flags deployFlags, signals *interrupts) error {
	if flags.readOnly && !flags.dryRun {
		return usage("--read-only keeps this from deploying: leave it out to deploy, give --dry-run for the plan alone, or look around with `flydeploy --read-only`")
	}
	out, err := chooseOutput(&flags)
	if err != nil {
		return err
	}
	s, err := loadSettings(cmd, flags)
	if err != nil {
		return err
	}
	if out != outputConsole && !flags.yes && !flags.dryRun {
		return usage("without a console nobody can confirm the plan: give --yes, --dry-run for the plan alone, or --accessible to be asked in plain lines")
	}
	c, err := connect(s)
	if err != nil {
		return err
	}
	c.signals = signals
	if out == outputConsole {
		return told(c.console(cmd.Context(), tui.Options{StartDeploy: true, Preselect: flags.selected}))
	}
	d := c.start(cmd.Context(), identify(cmd.Context(), s.dir()).sign(s.deploy(flags.selected, false)))
	return finish(cmd.Context(), d, out)
}

// output is how a deploy is shown.
type output string

const (
	outputConsole output = "console"
	outputPlain   output = "plain"
	outputJSON    output = "json"
)

// chooseOutput resolves auto: the console in a terminal that can show one, plain lines elsewhere and in CI. With
// --accessible, and in a terminal that cannot repaint, the console talks in plain lines.
func chooseOutput(flags *deployFlags) (output, error) {
	switch {
	case flags.output == "plain", flags.output == "json":
		return output(flags.output), nil
	case flags.output != "auto" && flags.output != "":
		return "", usage("--output is auto, plain or json, not %q", flags.output)
	case flags.accessible, isTerminal():
		return outputConsole, nil
	case onTerminal() && !flags.yes && !flags.dryRun:
		flags.accessible = true
		return outputConsole, nil
	}
	return outputPlain, nil
}

func onTerminal() bool {
	return term.IsTerminal(os.Stdin.Fd()) && term.IsTerminal(os.Stdout.Fd()) && os.Getenv("CI") == ""
}

// isTerminal reports whether there is a terminal that can repaint.
func isTerminal() bool { return onTerminal() && os.Getenv("TERM") != "dumb" }

// finish shows a deploy without a terminal until it has ended and settled, then its result.
func finish(ctx context.Context, d *engine.Deployment, out output) error {
	err := follow(ctx, d, out)
	result := d.Result()
	if err == nil && out == outputJSON {
		err = encode(os.Stdout, result)
	}
	if err != nil {
		return unwritten(err, result)
	}
	return outcomeOf(result)
}

// unwritten tells the end of a deploy whose output could not be written, on stderr. What cannot be read is no success.
func unwritten(err error, r engine.Result) error {
	outcome := r.Outcome
	if outcome == engine.OutcomeSucceeded {
		outcome = engine.OutcomeFailed
	}
	return failed{engine.NewProblem("output_lost", "the output could not be written", err, fmt.Sprintf(
		"The deploy has settled, and ended as: %s. `flydeploy status` shows what machines run.", r.Outcome)), outcome}
}

// follow renders the events until everything is settled, also after ctx has ended.
func follow(ctx context.Context, d plain.Deployment, out output) error {
	defer tellStopping(ctx)()
	if out == outputJSON {
		return plain.JSON(ctx, os.Stdout, d)
	}
	err := plain.Lines(ctx, os.Stdout, d, nil)
	if err == nil {
		_, err = fmt.Println(plain.Summary(d.Result()))
	}
	return err
}

func outcomeOf(r engine.Result) error {
	if r.Outcome == engine.OutcomeSucceeded {
		return nil
	}
	return ended{r.Outcome}
}

// openConsole opens the console on the fleet.
func openConsole(cmd *cobra.Command, flags deployFlags, signals *interrupts) error {
	if out, err := chooseOutput(&flags); err != nil || out != outputConsole {
		return usage("the console needs a terminal: use `flydeploy status`, `flydeploy hot --yes`, or --accessible")
	}
	s, err := loadSettings(cmd, flags)
	if err != nil {
		return err
	}
	c, err := connect(s)
	if err != nil {
		return err
	}
	c.signals = signals
	return told(c.console(cmd.Context(), tui.Options{Preselect: flags.selected}))
}

// told gives the exit that belongs to what a console ended with: the last deploy's outcome, if there was one.
func told(r *engine.Result, err error) error {
	if err != nil || r == nil {
		return err
	}
	return outcomeOf(*r)
}

// console runs the Bubble Tea program. Afterwards the summaries stay in the scrollback, and a deploy that still runs is
// followed in plain lines: to its end where the operator detached, to a stop where the console was ended from outside.
// It gives the end of the last deploy, nil for none.
func (c *connection) console(ctx context.Context, o tui.Options) (*engine.Result, error) {
	f := c.settings.flags
	o.App, o.ReadOnly, o.ASCII, o.Theme, o.Version = c.settings.app, f.readOnly && !f.dryRun, f.ascii, f.theme, version
	o.Accept, o.Recall = f.accept, c.recall
	once := c.settings
	o.Backend = &backend{connection: c, deploy: func(sel engine.Selection) (plain.Deployment, error) {
		s := once
		once.flags.resume, once.flags.to = false, "" // of the command line: they are for the first deploy
		who := identify(ctx, c.settings.dir())
		d := c.start(context.WithoutCancel(ctx), who.sign(s.deploy(sel, true)))
		context.AfterFunc(ctx, d.Stop) // at once, also where the terminal has stopped reading and the console hangs
		return d, nil
	}}
	end, err := c.show(ctx, o)
	if end.Summary != "" {
		fmt.Println(end.Summary)
	}
	result := end.Result
	if end.Running != nil {
		if !end.Detached {
			end.Running.Stop()
			c.signals.stopped()
		}
		defer tellStopping(ctx)()
		plainErr := plain.Lines(ctx, os.Stdout, end.Running, end.Progress)
		r := end.Running.Result()
		fmt.Println(plain.Summary(r) + c.recall(r))
		result, err = &r, errors.Join(err, plainErr)
	}
	return result, err
}
