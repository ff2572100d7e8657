package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/cli/rehearse"
	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/fly"
	"flydeploy/tui"
	"flydeploy/tui/plain"
)

type rehearseFlags struct {
	deploy  deploySettings
	world   rehearse.Options
	envFile string
}

func rehearseCommand(signals *interrupts) *cobra.Command {
	f := rehearseFlags{deploy: defaultDeploy()}
	cmd := &cobra.Command{
		Use:   "rehearse --old RELEASE --new RELEASE",
		Short: "Upgrade your own app on this computer, and take it back, before you do it on Fly",
		Long: `Starts a Fly on this computer, as the demo does, with machines that run the old release of your app: real releases in real BEAM nodes. Then it
does what ` + "`flydeploy hot`" + ` does: plan, commit, and watching (--bake); and takes the upgrade back, as ` + "`flydeploy confirm --back`" + ` does. Nothing of your app on
Fly is touched or asked, nothing runs or lies on the disk afterwards.

A RELEASE is the folder that ` + "`mix release`" + ` makes (_build/prod/rel/my_app), an archive of it (.tar.gz), or an image, HOST/APP:TAG, of which the
release is read from the registry. It must be built for this computer's system and processor. It boots by bin/server where it has that, else
by bin/NAME start, an image by its CMD where that is a program of the release; with this computer's /usr, as an unprivileged user. An image's ENV
counts, but for PATH and HOME; fly.toml's [env] and --env-file win over it. What else an image holds must be on this computer.

As root on Linux each machine has a network of its own, which leads nowhere: no database is reached. With --isolation processes, and elsewhere
always, machines are plain processes, which reach what listens on this computer.

What --traffic names runs all the while, in sh, with the machines' addresses: FLYDEPLOY_URL leads to all in turn, FLYDEPLOY_URLS lists one for
each. It is interrupted at the end. If it fails, the rehearsal has failed.

In a terminal the console shows the upgrade, and once you leave it, the way back. With --output json each of the two deploys ends with its result,
and a line of type "rehearsal" is the last.

Exit codes are those of ` + "`flydeploy hot`" + `, of the first of both ways that did not succeed; 1 also where the release does not boot, or the traffic failed.`,
		Example: `  flydeploy rehearse --old registry.fly.io/my-app:v1 --new ./_build/prod/rel/my_app --env-file .env.test --yes
  flydeploy rehearse --old my_app-1.0.0.tar.gz --new my_app-1.1.0.tar.gz --machines 3
  flydeploy rehearse --old ./old --new ./new --traffic 'while sleep 0.1; do curl -fsS "$FLYDEPLOY_URL/health" || exit 1; done' --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRehearse(cmd, f, signals) },
	}
	f.register(cmd)
	return cmd
}

func (f *rehearseFlags) register(cmd *cobra.Command) {
	fs, a := cmd.Flags(), &f.deploy.appSettings
	fs.StringVar(&f.world.Old, "old", "", "the release that runs now: a folder, an archive or an image")
	fs.StringVar(&f.world.New, "new", "", "the release to upgrade to, likewise")
	fs.IntVar(&f.world.Machines, "machines", 2, "number of machines")
	fs.StringVar(&f.envFile, "env-file", "", "file with a line NAME=VALUE for each secret of the app; values are never shown")
	fs.StringVar(&f.world.Traffic.Command, "traffic", "", "a line for sh that runs all the while; FLYDEPLOY_URL leads to the machines")
	fs.StringVar(&f.world.Traffic.Log, "traffic-log", "", "file that takes what it prints (default: one that is removed)")
	fs.Var(inSeconds(&f.world.Boot), "boot-timeout", "how long the old release may take to boot")
	fs.StringVarP(&a.config, "config", "c", "fly.toml", "fly.toml, of which [env] counts; flydeploy.toml is read beside it")
	fs.StringVarP(&a.name, "app", "a", "", "the app's name on the local Fly (default: the app of fly.toml, else a name like the release's)")
	fs.StringVar(&a.otpApp, "otp-app", "", "OTP application to upgrade (default: the release's)")
	fs.StringVar(&a.release.Root, "release-root", "", "the release's folder in the image, and on the machines (default: "+defaultRoot+")")
	fs.StringVar(&a.signingKey, "signing-key", "", "file with the key that signs upgrades (default: the text in FLYDEPLOY_SIGNING_KEY)")
	registerIsolation(cmd, &f.world.Isolation)
	f.deploy.registerPlan(cmd)
	f.deploy.registerCommit(cmd)
	f.deploy.screenSettings.register(cmd)
	f.deploy.registerYes(cmd)
	f.deploy.registerOutput(cmd)
	for _, option := range notRehearsed { // they are told why, if they are given
		_ = fs.MarkHidden(option)
	}
	f.world.Boot = defaultBoot
	fs.Lookup("boot-timeout").DefValue = defaultBoot.String()
}

const (
	// defaultRoot is where the usual image has its release.
	defaultRoot = "/app"
	defaultBoot = time.Minute
	// onTrialFor is how long a rehearsed upgrade is on trial: it is taken back long before.
	onTrialFor = deploy.MaxTrial
)

// notRehearsed are options that would lead elsewhere.
var notRehearsed = []string{optionTrial, "or-cold", "no-hooks"}

func (f *rehearseFlags) check(changed func(string) bool) error {
	for _, option := range notRehearsed {
		if changed(option) {
			return usage("--%s has no meaning here: a rehearsal is taken back, runs no hooks, and a plan that cannot go hot ends it", option)
		}
	}
	switch w := f.world; {
	case w.Old == "" || w.New == "":
		return usage("--old and --new name the two releases: a folder, an archive or an image")
	case w.Machines < 1 || w.Machines > 50:
		return usage("--machines is between 1 and 50")
	case w.Boot < time.Second:
		return usage("--boot-timeout must be at least 1 second")
	case w.Traffic.Log != "" && w.Traffic.Command == "":
		return usage("--traffic-log takes what --traffic prints: give that too")
	}
	return checkIsolation(f.world.Isolation)
}

// load reads the files: fly.toml, flydeploy.toml, and the environment.
func (f *rehearseFlags) load(cmd *cobra.Command, tell func(string)) error {
	d := &f.deploy
	if d.name == "" {
		path := d.config
		if !cmd.Flags().Changed("config") {
			path = fly.FindConfig(".")
		}
		config, err := fly.LoadConfig(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		d.name = cmp.Or(config.App, os.Getenv("FLY_APP"), rehearse.AppOf(f.world.Old))
	}
	d.noHooks = true
	if err := d.load(cmd); err != nil {
		return err
	}
	d.release.Root = path.Clean(cmp.Or(d.release.Root, defaultRoot))
	d.bucket, d.engine.Source, d.engine.Strategy.Trial, d.engine.Release = "", engine.SourceAuto, onTrialFor, d.release
	d.engine.Temporary.Regions = nil // the local Fly does not know all of them

	var secrets rehearse.Env
	if f.envFile != "" {
		var err error
		if secrets, err = rehearse.ReadEnv(f.envFile); err != nil {
			return err
		}
	}
	var left, ours []string
	f.world.Env, left = secrets.WithoutStorage()
	f.world.MachineEnv, ours = rehearse.Env(d.flyEnv).WithoutStorage()
	if left = append(left, ours...); len(left) > 0 {
		tell(rehearse.LeftOut(left))
	}
	for name := range f.world.Env { // a secret wins
		delete(f.world.MachineEnv, name)
	}
	d.flyEnv, d.engine.Temporary.Env = f.world.MachineEnv, f.world.MachineEnv
	f.world.App, f.world.Root = d.name, d.release.Root
	token, _, _ := fly.Token() // without one only Fly's own registry says no
	images := fly.Images{Token: token}
	f.world.Read = images.Read
	f.world.Describe = func(ctx context.Context, image string) (rehearse.Described, error) {
		config, err := images.Config(ctx, image)
		return rehearse.Described(config), err
	}
	return nil
}

func runRehearse(cmd *cobra.Command, f rehearseFlags, signals *interrupts) (err error) {
	if err := f.check(cmd.Flags().Changed); err != nil {
		return err
	}
	tell := func(what string) { fmt.Fprintln(cmd.ErrOrStderr(), "rehearse: "+what) }
	f.deploy.readFile(cmd)
	out, err := f.deploy.chooseOutput(f.deploy.asks())
	if err != nil {
		return err
	}
	if out != outputConsole && !f.deploy.engine.Yes {
		return usage("without a console nobody can confirm the plan: give --yes")
	}
	err = f.rehearse(cmd, out, tell, signals)
	if err == nil || errors.As(err, new(ended)) || errors.As(err, new(failed)) {
		return err
	}
	result := rehearse.NotBegun(f.world, err)
	if out == outputJSON || out == outputMarkdown { // elsewhere the error itself says it all
		err = errors.Join(err, printRehearsal(cmd, out, result))
	}
	return err
}

func (f *rehearseFlags) rehearse(cmd *cobra.Command, out output, tell func(string), signals *interrupts) (err error) {
	if err := f.load(cmd, tell); err != nil {
		return err
	}
	r, err := rehearse.Open(cmd.Context(), f.world, tell)
	if r != nil {
		defer func() {
			if left := r.Close(); left != nil { // also beside an outcome that was shown
				complain(cmd.ErrOrStderr(), left, "")
				if err == nil {
					err = ended{engine.OutcomeFailed}
				}
			}
		}()
	}
	if err != nil {
		return err
	}
	c, err := connectHere(r, f.deploy.appSettings, r.Build, signals)
	if err != nil {
		return err
	}
	if err := r.Launch(cmd.Context(), c.fleet); err != nil {
		return err
	}
	return f.run(cmd, r, c, out)
}

// printRehearsal writes its result, as the last of what it prints.
func printRehearsal(cmd *cobra.Command, out output, result rehearse.Result) (err error) {
	switch out {
	case outputJSON:
		return plain.Encode(cmd.OutOrStdout(), result)
	case outputMarkdown:
		return plain.MarkdownEnd(cmd.OutOrStdout(), result.Outcome, result.String(), result.Problem)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), result)
	return err
}

// run deploys, takes it back, and tells how both have ended.
func (f rehearseFlags) run(cmd *cobra.Command, r *rehearse.Rehearsal, c *connection, out output) error {
	upgrade, err := f.show(cmd, c, out)
	if err != nil {
		return err
	}
	back := engine.Outcome("")
	switch {
	case upgrade.Outcome != engine.OutcomeSucceeded || upgrade.Trial == nil:
	case cmd.Context().Err() != nil: // the upgrade had been committed when somebody wanted the end
		back = engine.OutcomeCancelled
	default:
		f.deploy.engine.EndTrial, f.deploy.engine.Strategy.Trial = engine.TrialTakenBack, 0
		taken, err := f.show(cmd, c, out)
		if err != nil {
			return err
		}
		back = taken.Outcome
	}
	result := r.Judge(upgrade.Outcome, back)
	if says := r.Ended(); says != "" && result.Outcome != engine.OutcomeSucceeded {
		fmt.Fprintln(cmd.ErrOrStderr(), indented(says))
	}
	if result.Problem != nil {
		complain(cmd.ErrOrStderr(), result.Problem, "")
	}
	if err := printRehearsal(cmd, out, result); err != nil {
		return unwritten(err, engine.Result{Outcome: result.Outcome})
	}
	return outcomeOf(engine.Result{Outcome: result.Outcome})
}

// show starts what the settings say, shows it to its end, and gives that; cancelled where somebody has left the console without it.
func (f rehearseFlags) show(cmd *cobra.Command, c *connection, out output) (engine.Result, error) {
	d := f.deploy
	if out == outputConsole {
		result, _, err := c.console(cmd, d, tui.Options{Org: "rehearsal", StartDeploy: true})
		if result == nil {
			return engine.Result{Outcome: engine.OutcomeCancelled}, err
		}
		return *result, err
	}
	s := d.engine
	s.Owner = localUser()
	started, err := c.start(cmd.Context(), s)
	if err != nil {
		return engine.Result{}, err
	}
	return c.told(cmd, started, out)
}
