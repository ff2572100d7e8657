package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
)

// deployFlags are the options of a deploy. Their names and meaning are fly_deploy's where it has them.
type deployFlags struct {
	appFlags
	image                                string
	skipBuild, dryRun, force, yes        bool
	readOnly, ascii, accessible          bool
	noCache, buildkit                    bool
	buildArgs, accept                    []string
	depot, imageLabel                    string
	message, output, theme               string
	lockTimeout, timeout, suspendTimeout duration
	lockWait                             duration
	keep                                 int
	resume                               bool
	to                                   string
	maxConcurrency                       int
	strategy                             string
	bake                                 duration
	selected                             engine.Selection
}

// appFlags say which app, and where its storage is.
type appFlags struct {
	config, app, otpApp         string
	release, releaseRoot        string
	bucket, storage, awsProfile string
}

func (f *appFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&f.config, "config", "c", "fly.toml", "path to fly.toml, fly.json or fly.yaml")
	fs.StringVarP(&f.app, "app", "a", "", "Fly app (default: the app of fly.toml)")
	fs.StringVar(&f.otpApp, "otp-app", "", "OTP application to upgrade (default: asked of the running release)")
	fs.StringVar(&f.release, "release", "", "name of the release to upgrade (default: the one that runs)")
	fs.StringVar(&f.releaseRoot, "release-root", "", "its folder on the machines and in the image (default: asked of the running release)")
	fs.StringVar(&f.bucket, "bucket", "", "S3 bucket (default: AWS_BUCKET, BUCKET_NAME, <fly app>-releases)")
	fs.StringVar(&f.storage, "storage", storageOfMachine, "whose storage settings: machine, or env for this console's environment")
	fs.StringVar(&f.awsProfile, "aws-profile", "", "take the storage's keys from this profile of ~/.aws")
}

// check tells options that cannot work together, before anything is read.
func (f *appFlags) check() error {
	switch {
	case f.storage != storageOfMachine && f.storage != storageOfEnv:
		return usage("--storage is machine or env, not %q", f.storage)
	case f.awsProfile != "" && f.storage == storageOfEnv:
		return usage("--aws-profile and --storage env exclude each other")
	}
	return nil
}

// defaultFlags are the options of a command that does not offer them.
func defaultFlags() deployFlags {
	return deployFlags{
		lockTimeout: duration{5 * time.Minute, time.Second}, lockWait: duration{0, time.Second}, keep: 50,
		timeout: duration{time.Minute, time.Millisecond}, suspendTimeout: duration{250 * time.Millisecond, time.Millisecond},
		maxConcurrency: 20, strategy: string(engine.StrategyAll), bake: duration{0, time.Second}, theme: themes[0],
	}
}

// register declares the options that the console and `hot` share.
func (f *deployFlags) register(cmd *cobra.Command) {
	f.appFlags.register(cmd)
	f.registerBuild(cmd)
	f.registerSelection(cmd)
	f.registerPlan(cmd)
	f.registerCommit(cmd)
	f.registerLock(cmd)
	f.registerScreen(cmd)
	f.registerReadOnly(cmd)
}

// registerSelection declares which machines take part.
func (f *deployFlags) registerSelection(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArrayVar(&f.selected.Machines, "machine", nil, "machine id (repeatable; default: all machines)")
	f.registerRegion(cmd)
	fs.StringArrayVar(&f.selected.ProcessGroups, "process-group", nil, "only machines of this process group (repeatable)")
}

func (f *deployFlags) registerRegion(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.selected.Regions, "region", nil, "only machines of this region (repeatable)")
}

// registerPlan declares what a plan depends on.
func (f *deployFlags) registerPlan(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.Var(&f.timeout, "timeout", "time for each of staging, arming and committing on one machine")
	fs.IntVar(&f.maxConcurrency, "max-concurrency", f.maxConcurrency, "machines that are staged or armed at once")
	fs.StringVar(&f.strategy, "strategy", f.strategy, "all at once, rolling (waves), or canary (one machine, then the others);\nthe size of a wave is --max-concurrency where that is given")
	fs.Var(&f.bake, "bake", "time for which a wave is watched before the next one starts (canary: 30s)")
	fs.StringArrayVar(&f.accept, "accept", nil, "name of a blocker of the plan to accept (repeatable)")
}

// registerCommit declares what matters once the plan is confirmed.
func (f *deployFlags) registerCommit(cmd *cobra.Command) {
	cmd.Flags().Var(&f.suspendTimeout, "suspend-timeout", "time for one process to suspend")
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "why: goes into the record")
}

// registerLock declares what other deploys meet in the bucket.
func (f *deployFlags) registerLock(cmd *cobra.Command) {
	cmd.Flags().Var(&f.lockTimeout, "lock-timeout", "seconds after which the deploy lock expires, at least 120")
	cmd.Flags().IntVar(&f.keep, "keep", f.keep, "deploys that the bucket's record keeps")
}

// themes are the values of --theme.
var themes = []string{"auto", "dark", "light"}

// registerScreen declares how the console looks.
func (f *deployFlags) registerScreen(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.ascii, "ascii", false, "only ASCII characters on the screen")
	cmd.Flags().StringVar(&f.theme, "theme", f.theme, strings.Join(themes, ", "))
	cmd.Flags().BoolVar(&f.accessible, "accessible", false, "plain lines and numbered choices, for screen readers")
}

func (f *deployFlags) checkTheme() error {
	if !slices.Contains(themes, f.theme) {
		return usage("--theme is auto, dark or light, not %q", f.theme)
	}
	return nil
}

func (f *deployFlags) registerReadOnly(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.readOnly, "read-only", false, "take away everything that changes anything")
}

func (f *deployFlags) registerYes(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "confirm the plan beforehand")
}

func (f *deployFlags) registerOutput(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.output, "output", "o", "auto", "auto, plain or json")
}

// chooseStrategy tells in which order machines commit. A bound on concurrency that somebody set is the size of a wave too.
func (f *deployFlags) chooseStrategy(bakeGiven, concurrencyGiven bool) engine.Strategy {
	s := engine.Strategy{Kind: engine.StrategyKind(f.strategy), Bake: f.bake.Duration}
	if s.Kind == engine.StrategyCanary && !bakeGiven {
		s.Bake = canaryBake
	}
	if concurrencyGiven {
		s.WaveSize = f.maxConcurrency
	}
	return s
}

// canaryBake is how long a canary is watched unless --bake says otherwise.
const canaryBake = 30 * time.Second

// registerBuild declares what `fly deploy --build-only` takes too.
func (f *deployFlags) registerBuild(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&f.skipBuild, "skip-build", false, "use an image that exists already; needs --image")
	fs.StringVar(&f.image, "image", "", "image that was pushed before, HOST/APP:TAG")
	fs.StringArrayVar(&f.buildArgs, "build-arg", nil, "NAME=VALUE for the build (repeatable)")
	fs.BoolVar(&f.noCache, "no-cache", false, "build without the builder's cache")
	fs.BoolVar(&f.buildkit, "buildkit", false, "build with BuildKit")
	fs.StringVar(&f.depot, "depot", "", "build with Depot: auto, true or false")
	fs.Lookup("depot").NoOptDefVal = "true"
	fs.StringVar(&f.imageLabel, "image-label", "", "tag of the new image (default: deployment-ULID)")
}

// duration is an option's value: "90s", "250ms", or a number in the unit that fly_deploy gives the option.
type duration struct {
	time.Duration
	unit time.Duration
}

// Set implements pflag.Value.
func (d *duration) Set(text string) error {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		d.set(int(n))
		return nil
	}
	given, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is neither a number (%s) nor a time like 90s", text, unitName(d.unit))
	}
	d.Duration = given
	return nil
}

func (d *duration) set(units int) { d.Duration = time.Duration(units) * d.unit }

func unitName(unit time.Duration) string {
	if unit == time.Second {
		return "seconds"
	}
	return "milliseconds"
}

// Type implements pflag.Value.
func (d *duration) Type() string { return "time" }
