package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/tui/cells"
)

// The options of commands. They are written straight into the settings that they belong to; their names and meaning are
// fly_deploy's where it has them.

func (a *appSettings) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&a.config, "config", "c", "fly.toml", "path to fly.toml, fly.json or fly.yaml")
	fs.StringVarP(&a.name, "app", "a", "", "Fly app (default: the app of fly.toml)")
	fs.StringVar(&a.otpApp, "otp-app", "", "OTP application to upgrade (default: the running release's)")
	fs.StringVar(&a.release.Name, "release", "", "name of the release to upgrade (default: the one that runs)")
	fs.StringVar(&a.release.Root, "release-root", "", "the release's folder on the machines and in the image (default: the running release's)")
	fs.StringVar(&a.container, "container", "", "the container that runs the release, on machines with several (default: the only one with an Erlang VM)")
	fs.StringVar(&a.bucket, "bucket", "", "S3 bucket (default: AWS_BUCKET, BUCKET_NAME, <fly app>-releases)")
	fs.StringVar(&a.storage, "storage", storageOfMachine, "where storage settings come from: machine (a machine's environment) or env (this console's)")
	fs.StringVar(&a.awsProfile, "aws-profile", "", "profile of ~/.aws that has the storage's keys")
	fs.StringVar(&a.signingKey, "signing-key", "", "file with the key that signs upgrades (default: the text in FLYDEPLOY_SIGNING_KEY)")
	fs.StringArrayVar(&a.temporary.Regions, "temporary-region", nil, "region for a temporary machine (repeatable: asked in turn;\ndefault: the app's regions, then any)")
	fs.StringVar(&a.temporary.Size, "temporary-size", "", "size of a temporary machine (default: shared-cpu-1x)")
	fs.StringArrayVar(&a.temporaryEnv, "temporary-env", nil, "NAME=VALUE for the environment of a temporary machine (repeatable; wins over [env])")
	fs.IntVar(&a.temporary.MemoryMB, "temporary-memory", 0, "memory of a temporary machine, in MB (default: 1024, or more if the size has more)")
}

// themes are the values of --theme.
var themes = []string{"auto", "dark", "light"}

// register declares how the console looks.
func (s *screenSettings) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&s.ascii, "ascii", false, "only ASCII characters on the screen")
	fs.StringVar(&s.theme, "theme", themes[0], strings.Join(themes, ", "))
	fs.StringVar(&s.skin, "skin", string(cells.Default), "colours of the console: "+strings.Join(words(cells.Skins), ", "))
	fs.BoolVar(&s.noMouse, "no-mouse", false, "leave the mouse to the terminal: no wheel, no clicks in the console")
	fs.BoolVar(&s.noBell, "no-bell", false, "no bell and no notification when a deploy needs you, or ends, while you look elsewhere")
	fs.BoolVar(&s.accessible, "accessible", false, "plain lines and numbered choices, for screen readers")
}

func (s *screenSettings) registerOutput(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.output, "output", "o", "auto", "auto, plain, json, or markdown (plan and end, for a job's summary; progress goes to standard error)")
}

// register declares the options that the console and `hot` share.
func (d *deploySettings) register(cmd *cobra.Command) {
	d.appSettings.register(cmd)
	d.registerBuild(cmd)
	d.registerSelection(cmd)
	d.registerPlan(cmd)
	d.registerCommit(cmd)
	d.registerLock(cmd)
	d.screenSettings.register(cmd)
	d.registerReadOnly(cmd)
}

// registerBuild declares what `fly deploy --build-only` takes too.
func (d *deploySettings) registerBuild(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&d.skipBuild, "skip-build", false, "use an image that exists already; needs --image")
	fs.StringVar(&d.engine.Image, "image", "", "image that was pushed earlier, HOST/APP:TAG")
	fs.StringArrayVar(&d.builder.BuildArgs, "build-arg", nil, "NAME=VALUE for the build (repeatable)")
	fs.BoolVar(&d.builder.NoCache, "no-cache", false, "build without the builder's cache")
	fs.BoolVar(&d.builder.Buildkit, "buildkit", false, "build with BuildKit")
	fs.StringVar(&d.builder.Depot, "depot", "", "build with Depot: auto, true or false")
	fs.Lookup("depot").NoOptDefVal = "true"
	fs.StringVar((*string)(&d.engine.Source), optionSource, string(d.engine.Source),
		"where the release is read from: machine (a temporary one with the image), registry (the image's layers, by this computer), or auto\n(machine, and registry where Fly has no room for one)")
	fs.StringVar(&d.builder.ImageLabel, "image-label", "", "tag of the new image (default: deployment-ULID)")
}

// passOn takes what follows -- as flags for `fly deploy`.
func (d *deploySettings) passOn(cmd *cobra.Command, args []string) error {
	if dash := cmd.ArgsLenAtDash(); dash < 0 {
		return cobra.NoArgs(cmd, args)
	} else if dash > 0 {
		return cobra.NoArgs(cmd, args[:dash])
	}
	d.builder.Passed = args
	return fly.CheckPassed(args)
}

// registerSelection declares which machines take part.
func (d *deploySettings) registerSelection(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArrayVar(&d.engine.Select.Machines, "machine", nil, "only this machine, by its ID (repeatable; default: all machines)")
	d.registerRegion(cmd)
	fs.StringArrayVar(&d.engine.Select.ProcessGroups, "process-group", nil, "only machines of this process group (repeatable)")
}

func (d *deploySettings) registerRegion(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&d.engine.Select.Regions, "region", nil, "only machines of this region (repeatable)")
}

// registerPlan declares what a plan depends on.
func (d *deploySettings) registerPlan(cmd *cobra.Command) {
	fs, e := cmd.Flags(), &d.engine
	fs.Var(inMilliseconds(&e.Timeout), optionTimeout, "time limit for each of staging, arming and committing one machine")
	fs.IntVar(&e.MaxConcurrency, optionConcurrency, e.MaxConcurrency, "how many machines are armed or suspended at once (of more than 100, a fifth,\nunless this is given)")
	fs.IntVar(&e.MaxFailed, "max-failed", 0, "how many machines may fail before nothing more starts")
	fs.StringVar((*string)(&e.Strategy.Kind), optionStrategy, string(e.Strategy.Kind),
		"all at once, rolling (waves), canary (one machine, then the others), or how many machines\nhave the upgrade after each wave: 1,10%,50%,100%;\nthe size of a wave is --max-concurrency if that is given")
	fs.Var(inSeconds(&e.Strategy.Bake), optionBake, "how long machines are watched after their commit, before the next wave starts; 0: not at all\n(default: 10s, canary 30s)")
	fs.Lookup(optionBake).DefValue = "" // its default depends on the strategy: the text has it
	fs.StringVar((*string)(&e.Strategy.By), optionWavesBy, "", "waves of one region or one process group each: region or group")
	fs.Var(pause{&e.Strategy.Pause}, optionPause, "wait for a key before each further wave; with a time (--pause=5m), as in CI, for at most that long")
	fs.Lookup(optionPause).NoOptDefVal = pauseForKey
	fs.Var(inSeconds(&e.Strategy.Trial), optionTrial, "run it, and record it only if 'flydeploy confirm' says so within this time (10m): until then restarts and new machines\nrun what ran before; after it the VMs stop, one after the other, and their machines start again without it")
	fs.Lookup(optionTrial).DefValue = ""
	fs.StringVar((*string)(&e.OnSick), "on-sick", string(e.OnSick),
		"what to do if it is not well after the commit: stop, back (to the code that ran before), or continue")
	fs.Var(rehearsal{&e.Rehearse}, "rehearse", "try migrations on copies of states in a second VM: on one machine of each process group (one), all or none")
	fs.Lookup("rehearse").NoOptDefVal = "all"
	fs.BoolVar(&d.noHooks, "no-hooks", false, "run no command of [hooks] in flydeploy.toml, and post nothing ([notify])")
	fs.BoolVar(&e.RunReleaseCommand, "release-command", false, "run fly.toml's release_command in a temporary machine with the new image, before anything is suspended")
	fs.BoolVar(&e.ApplyConfig, "apply-config", false, "apply the new release's sys.config and runtime.exs to the applications that run, and tell them (config_change/3)")
	fs.Var(children{&e.ApplyChildren}, "apply-children", "after the commit start children that supervisors have in the new code, and end those that they no longer have (keep);\nrestart: also start again those that are started otherwise")
	fs.Lookup("apply-children").NoOptDefVal = string(engine.ApplyChildrenKeep)
	fs.StringArrayVar(&e.Accept, "accept", nil, "blocker of the plan to accept, by its name (repeatable)")
}

// registerCommit declares what matters once the plan is confirmed.
func (d *deploySettings) registerCommit(cmd *cobra.Command) {
	e := &d.engine
	cmd.Flags().Var(inMilliseconds(&e.SuspendTimeout), optionSuspendTimeout, "time limit for suspending one process")
	cmd.Flags().Var(inMilliseconds(&e.MigrationTimeout), optionMigrationTimeout, "end code_change calls that still wait when none has returned for this long")
	cmd.Flags().Var(inMilliseconds(&e.MaxSuspend), optionMaxSuspend, "how long a machine's processes may be suspended before the upgrade is rolled back")
	cmd.Flags().BoolVar(&e.SkipBusy, "skip-busy", false, "leave out processes that do not suspend in time, if nothing waits for them, and upgrade the others")
	cmd.Flags().BoolVar(&e.OrCold, "or-cold", false, "where the plan's verdict is cold, give the image to all machines by fly deploy, which restarts them")
	cmd.Flags().StringVarP(&d.engine.Message, "message", "m", "", "why you deploy: goes into the record")
}

// registerLock declares what other deploys meet in the bucket.
func (d *deploySettings) registerLock(cmd *cobra.Command) {
	cmd.Flags().Var(inSeconds(&d.engine.LockTimeout), optionLockTimeout, "seconds after which the deploy lock expires, at least 120")
	cmd.Flags().IntVar(&d.engine.Keep, "keep", d.engine.Keep, "how many deploys the bucket's record keeps")
}

func (d *deploySettings) registerReadOnly(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&d.readOnly, "read-only", false, "offer nothing that changes anything")
}

func (d *deploySettings) registerYes(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&d.engine.Yes, "yes", "y", false, "confirm the plan in advance")
}

// Options that flydeploy.toml or the strategy may set, unless the command line does.
const (
	optionTimeout          = "timeout"
	optionSuspendTimeout   = "suspend-timeout"
	optionMigrationTimeout = "migration-timeout"
	optionMaxSuspend       = "max-suspend"
	optionLockTimeout      = "lock-timeout"
	optionConcurrency      = "max-concurrency"
	optionBake             = "bake"
	optionStrategy         = "strategy"
	optionTrial            = "trial"
	optionWavesBy          = "waves-by"
	optionPause            = "pause"
	optionSource           = "source"
)

// defaultDeploy are the settings of a deploy without any options.
func defaultDeploy() deploySettings {
	return deploySettings{
		appSettings: appSettings{storage: storageOfMachine}, screenSettings: screenSettings{theme: themes[0], skin: string(cells.Default)},
		engine: engine.Settings{
			LockTimeout: 5 * time.Minute, Keep: 50, Timeout: time.Minute, SuspendTimeout: 250 * time.Millisecond,
			MigrationTimeout: time.Second, MaxSuspend: 2 * time.Second, OnSick: engine.OnSickStop, Source: engine.SourceAuto,
			MaxConcurrency: 20, Strategy: engine.Strategy{Kind: engine.StrategyAll, Bake: engine.DefaultBake(engine.StrategyAll)},
		},
	}
}

// rehearsal is the value of --rehearse.
type rehearsal struct{ to *engine.Rehearse }

// Set implements pflag.Value.
func (r rehearsal) Set(text string) error {
	switch text {
	case "one":
		*r.to = engine.RehearseOne
	case "all", "none":
		*r.to = engine.Rehearse(text)
	default:
		return fmt.Errorf("%q is not one, all or none", text)
	}
	return nil
}

func (r rehearsal) String() string {
	if r.to == nil || *r.to == engine.RehearseOne {
		return "one"
	}
	return string(*r.to)
}

// Type implements pflag.Value.
func (r rehearsal) Type() string { return "machines" }

// pause is the value of --pause.
type pause struct{ to *time.Duration }

const pauseForKey = "key"

// Set implements pflag.Value.
func (p pause) Set(text string) error {
	if text == pauseForKey {
		*p.to = engine.PauseForKey
		return nil
	}
	return inSeconds(p.to).Set(text)
}

func (p pause) String() string {
	switch {
	case p.to == nil || *p.to == 0:
		return ""
	case *p.to == engine.PauseForKey:
		return pauseForKey
	}
	return p.to.String()
}

// Type implements pflag.Value.
func (p pause) Type() string { return "time" }

// children is an option's value: keep, restart or none.
type children struct{ to *engine.ApplyChildren }

// Set implements pflag.Value.
func (c children) Set(text string) error {
	switch how := engine.ApplyChildren(text); how {
	case engine.ApplyChildrenKeep, engine.ApplyChildrenRestart:
		*c.to = how
	case "none":
		*c.to = engine.ApplyNoChildren
	default:
		return fmt.Errorf("%q is not keep, restart or none", text)
	}
	return nil
}

func (c children) String() string {
	if c.to == nil || *c.to == engine.ApplyNoChildren {
		return "none"
	}
	return string(*c.to)
}

// Type implements pflag.Value.
func (c children) Type() string { return "how" }

// duration is an option's value: "90s", "250ms", or a number in the unit that fly_deploy gives the option.
type duration struct {
	to   *time.Duration
	unit time.Duration
}

func inSeconds(to *time.Duration) duration      { return duration{to, time.Second} }
func inMilliseconds(to *time.Duration) duration { return duration{to, time.Millisecond} }

// Set implements pflag.Value.
func (d duration) Set(text string) error {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		*d.to = time.Duration(n) * d.unit
		return nil
	}
	given, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is neither a number (%s) nor a time like 90s", text, unitName(d.unit))
	}
	*d.to = given
	return nil
}

func (d duration) String() string {
	if d.to == nil { // pflag looks at a zero value to tell which defaults need no mention
		return "0s"
	}
	return d.to.String()
}

// Type implements pflag.Value.
func (d duration) Type() string { return "time" }

func unitName(unit time.Duration) string {
	if unit == time.Second {
		return "seconds"
	}
	return "milliseconds"
}
