package cli

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/engine/sign"
	"flydeploy/fly"
	"flydeploy/text"
	"flydeploy/tui"
	"flydeploy/tui/cells"
)

// Settings are what the command line, flydeploy.toml, fly.toml and the environment make together, in this order of
// precedence: options are written into them, then load completes them.

// appSettings say which app is meant, and where its storage is.
type appSettings struct {
	config string // path of fly.toml, "" where there is none
	name   string // of the Fly app
	otpApp string // "" asks the running VM
	// release is the one that is looked for; what is empty is asked of the running VM.
	release engine.Release
	// container runs it, on machines with several; "" where there is one at most.
	container string
	bucket    string // "" leaves it to the environment that the storage's settings come from
	storage   string // whose settings the storage is opened with
	// awsProfile is a profile of ~/.aws, in the place of storage's keys.
	awsProfile   string
	temporary    engine.Temporary  // its Env is [env] of fly.toml, over it env of flydeploy.toml, over it temporaryEnv
	temporaryEnv []string          // NAME=VALUE
	flyEnv       map[string]string // [env] of fly.toml
	prebuilt     string            // the image that fly.toml names in place of a build, "" for none
	// releaseCommand is fly.toml's, "" for none.
	releaseCommand string
	foreign        bool       // the working folder is another app's, or none's: its files do not count, and nothing is built
	elsewhere      bool       // what the command line says was meant for another app
	signingKey     string     // the key's file, "" for none
	keys           *sign.Ring // nil without any key
}

// screenSettings say how a deploy is shown.
type screenSettings struct {
	output, theme     string
	ascii, accessible bool
	noBell, noMouse   bool
	skin              string
	bindings          tui.Keys
	columns           tui.Columns
	settings          []tui.Setting // what is in force, and where it is from
	wrong             []string      // what console.toml says that cannot be
	told              bool          // the console before this one has told that
}

// deploySettings are the engine's settings of one deploy, and what is not the engine's.
type deploySettings struct {
	appSettings
	screenSettings
	engine    engine.Settings
	builder   fly.Builder
	skipBuild bool
	readOnly  bool
	noHooks   bool
	hooks     openHooks // of flydeploy.toml; nil before load
}

// load reads the files that belong to the command line.
func (a *appSettings) load(cmd *cobra.Command) (project, error) {
	if err := a.check(); err != nil {
		return project{}, err
	}
	if a.foreign {
		var err error
		if a.keys, err = loadKeys("", nil, os.Getenv); err != nil {
			return project{}, err
		}
		return project{}, a.complete(project{}, fly.Config{}, func(string) string { return "" })
	}
	changed := a.changed(cmd)
	if !changed("config") {
		a.config = fly.FindConfig(".")
	}
	dir := filepath.Dir(a.config)
	config, err := fly.LoadConfig(a.config)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && a.name != "" && !changed("config"):
		a.config = ""
	default:
		return project{}, err
	}
	p, err := loadProject(filepath.Join(dir, "flydeploy.toml"))
	if err != nil {
		return p, err
	}
	if a.keys, err = loadKeys(a.signingKey, p.PublicKeys, os.Getenv); err != nil {
		return p, err
	}
	return p, a.complete(p, config, os.Getenv)
}

// changed tells which options the command line gives for this app.
func (a *appSettings) changed(cmd *cobra.Command) func(option string) bool {
	if a.elsewhere {
		return func(string) bool { return false }
	}
	return cmd.Flags().Changed
}

// complete takes from the files and the environment what the command line leaves open.
func (a *appSettings) complete(p project, config fly.Config, getenv func(string) string) error {
	a.bucket, a.otpApp = cmp.Or(a.bucket, p.Bucket), cmp.Or(a.otpApp, p.OTPApp)
	a.release = engine.Release{Name: cmp.Or(a.release.Name, p.Release), Root: cmp.Or(a.release.Root, p.ReleaseRoot)}
	a.completeTemporary(p, config)
	a.container, a.prebuilt = cmp.Or(a.container, p.Container), config.Image
	a.releaseCommand = strings.TrimSpace(config.ReleaseCommand)
	if root := a.release.Root; root != "" && !path.IsAbs(root) {
		return usage("the release's root must be a folder of the image, such as /app, not %q", root)
	}
	if err := a.checkTemporary(); err != nil {
		return err
	}
	var err error
	a.name, err = chooseApp(a.name, config.App, getenv("FLY_APP"))
	return err
}

// completeTemporary takes from the files what temporary machines get, and where they are to run.
func (a *appSettings) completeTemporary(p project, config fly.Config) {
	t := &a.temporary
	t.Env, a.flyEnv = map[string]string{}, config.Env
	maps.Copy(t.Env, config.Env)
	maps.Copy(t.Env, p.Env)
	for _, pair := range a.temporaryEnv {
		name, value, _ := strings.Cut(pair, "=")
		t.Env[name] = value
	}
	if len(t.Regions) == 0 {
		t.Regions = p.TemporaryRegions
	}
	t.Size, t.MemoryMB = cmp.Or(t.Size, p.TemporarySize), cmp.Or(t.MemoryMB, p.TemporaryMemory)
}

// chooseApp gives the app's name. flyctl prefers FLY_APP to fly.toml; where they differ the user has to choose, since the
// wrong choice would deploy to another app.
func chooseApp(flag, config, env string) (string, error) {
	if flag == "" && config != "" && env != "" && config != env {
		return "", usage("fly.toml says app %s, FLY_APP says %s: give --app", config, env)
	}
	app := cmp.Or(flag, config, env)
	if app == "" {
		return "", usage("fly.toml names no app: give --app")
	}
	return app, nil
}

// check refuses options that cannot work together, before anything is read.
func (a *appSettings) check() error {
	switch {
	case a.storage != storageOfMachine && a.storage != storageOfEnv:
		return usage("--storage is machine or env, not %q", a.storage)
	case a.awsProfile != "" && a.storage == storageOfEnv:
		return usage("give either --aws-profile or --storage env, not both")
	}
	for _, pair := range a.temporaryEnv {
		if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
			return usage("--temporary-env is NAME=VALUE") // the value may be a secret
		}
	}
	return a.checkTemporary()
}

// memoryStep is what Fly counts a machine's memory in, in MB.
const memoryStep = 256

func (a *appSettings) checkTemporary() error {
	t := a.temporary
	switch {
	case t.Size != "" && !slices.Contains(fly.Sizes(), t.Size):
		return usage("the size of the temporary machine (--temporary-size) is one of %s, not %q", strings.Join(fly.Sizes(), ", "), t.Size)
	case t.MemoryMB < 0 || t.MemoryMB%memoryStep != 0:
		return usage("the memory of the temporary machine (--temporary-memory) is a multiple of %d MB, not %d", memoryStep, t.MemoryMB)
	}
	return nil
}

// target is what is looked for on the fleet.
func (a *appSettings) target() engine.App { return engine.App{OTPApp: a.otpApp, Release: a.release} }

// dir is the folder of the app.
func (a *appSettings) dir() string { return filepath.Dir(a.config) }

func (s *screenSettings) check() error {
	if !slices.Contains(themes, s.theme) {
		return usage("--theme is auto, dark or light, not %q", s.theme)
	}
	if s.skin != "" && !cells.Skin(s.skin).Known() {
		return usage("--skin is one of %s, not %q", strings.Join(words(cells.Skins), ", "), s.skin)
	}
	return nil
}

// load checks the options, and reads the files that belong to the command line.
func (d *deploySettings) load(cmd *cobra.Command) error {
	if err := d.check(); err != nil { // a wrong option is told before a missing file
		return err
	}
	p, err := d.appSettings.load(cmd)
	if err != nil {
		return err
	}
	d.complete(p, d.changed(cmd))
	if !d.noHooks {
		d.hooks = hooksOf(p, d.dir(), !d.engine.DryRun && !d.readOnly)
	}
	if d.engine.RunReleaseCommand && d.engine.ReleaseCommand == "" {
		return usage("--release-command: fly.toml has no release_command in [deploy]")
	}
	return d.check()
}

// complete takes from the app's settings and flydeploy.toml what the command line leaves open.
func (d *deploySettings) complete(p project, changed func(option string) bool) {
	e := &d.engine
	e.App, e.OTPApp, e.Release, e.Temporary = d.name, d.otpApp, d.release, d.temporary
	d.builder.App, d.builder.Config, d.builder.Prebuilt = d.name, d.config, d.prebuilt
	e.ReleaseCommand = d.releaseCommand
	if d.skipBuild && fly.HasLogin(e.Image) {
		d.builder.Prebuilt, e.Image, d.skipBuild = e.Image, "", false // Fly has no such login: it is copied where that matters
	}
	set := func(option string, from *int, to *time.Duration, unit time.Duration) {
		if from != nil && !changed(option) {
			*to = time.Duration(*from) * unit
		}
	}
	set(optionTimeout, p.Timeout, &e.Timeout, time.Millisecond)
	set(optionSuspendTimeout, p.SuspendTimeout, &e.SuspendTimeout, time.Millisecond)
	set(optionMigrationTimeout, p.MigrationTimeout, &e.MigrationTimeout, time.Millisecond)
	set(optionMaxSuspend, p.MaxSuspend, &e.MaxSuspend, time.Millisecond)
	set(optionLockTimeout, p.LockTimeout, &e.LockTimeout, time.Second)
	if p.MaxConcurrency != nil && !changed(optionConcurrency) {
		e.MaxConcurrency = *p.MaxConcurrency
	}
	if p.Source != "" && !changed(optionSource) {
		e.Source = engine.ReleaseSource(p.Source)
	}
	set(optionBake, p.Bake, &e.Strategy.Bake, time.Second)
	e.StrategyGiven = engine.StrategyGiven{Kind: changed(optionStrategy), WaveSize: changed(optionConcurrency), By: changed(optionWavesBy), Bake: changed(optionBake), Pause: changed(optionPause), Trial: changed(optionTrial)}
	d.chooseWaves(changed(optionBake) || p.Bake != nil, changed(optionConcurrency) || p.MaxConcurrency != nil)
}

// chooseWaves says how large waves are, and how long they are watched. A bound on concurrency that somebody set is the size
// of a wave too.
func (d *deploySettings) chooseWaves(bakeGiven, concurrencyGiven bool) {
	s := &d.engine.Strategy
	if !bakeGiven {
		s.Bake = engine.DefaultBake(s.Kind)
	}
	if concurrencyGiven {
		s.WaveSize = d.engine.MaxConcurrency
	}
}

// minLockTimeout covers the 60 s in which an armed agent may still commit after the last word from its console, its window
// and what follows. A lock that is left because a machine's end is unknown must not expire before.
const minLockTimeout = 120 * time.Second

// check refuses options that cannot work, or not together.
func (d *deploySettings) check() error {
	for _, arg := range d.builder.BuildArgs {
		if name, _, ok := strings.Cut(arg, "="); !ok || name == "" {
			return usage("--build-arg is NAME=VALUE") // the argument itself may be a secret
		}
	}
	if err := d.screenSettings.check(); err != nil {
		return err
	}
	if err := d.checkSource(); err != nil {
		return err
	}
	e := d.engine
	switch {
	case e.LockTimeout < minLockTimeout:
		return usage("--lock-timeout must be at least %d seconds: a machine may still commit that long after its console is gone", int(minLockTimeout.Seconds()))
	case e.Keep < 1:
		return usage("--keep must be at least 1")
	case e.OrCold && !e.Select.Empty():
		return usage("--or-cold gives the image to all machines: leave out --machine, --region and --process-group")
	case e.LockWait < 0:
		return usage("--lock-wait must not be negative")
	case e.MaxFailed < 0:
		return usage("--max-failed must not be negative")
	case e.MaxConcurrency < 1:
		return usage("--max-concurrency must be at least 1")
	case !e.Strategy.Kind.Valid():
		return usage("--strategy is all, rolling, canary, or a list that grows, such as 1,10%%,50%%,100%%, not %q", e.Strategy.Kind)
	case !e.Strategy.By.Valid():
		return usage("--waves-by is region or group, not %q", string(e.Strategy.By))
	case !deploy.ValidPause(e.Strategy.Pause):
		return usage("--pause is at most %s, or without a time: until somebody presses a key", text.Time(deploy.MaxPause))
	case !slices.Contains(engine.OnSickWays, e.OnSick):
		return usage("--on-sick is stop, back or continue, not %q", e.OnSick)
	case e.Strategy.Bake < 0 || e.Strategy.Bake > deploy.MaxBake:
		return usage("--bake is at most %s: agents do not watch for longer", deploy.MaxBake)
	case e.Strategy.Trial != 0 && (e.Strategy.Trial < deploy.MinTrial || e.Strategy.Trial > deploy.MaxTrial):
		return usage("--trial is between %s and %s", text.Time(deploy.MinTrial), text.Time(deploy.MaxTrial))
	case e.Strategy.Trial > 0 && e.OrCold:
		return usage("--or-cold restarts all machines with the new image, which cannot be on trial: leave out one of the two")
	case min(e.SuspendTimeout, e.MigrationTimeout, e.MaxSuspend, e.Timeout) < time.Millisecond:
		return usage("--timeout, --suspend-timeout, --migration-timeout and --max-suspend must be more than 0")
	case e.MaxSuspend >= e.Timeout:
		return usage("--max-suspend must be less than --timeout, which covers the whole commit")
	}
	return nil
}

// checkSource refuses options that contradict each other about what to deploy.
func (d *deploySettings) checkSource() error {
	e := d.engine
	pushed := e.Image != "" || d.skipBuild
	switch {
	case d.skipBuild && e.Image == "":
		return usage("--skip-build needs --image")
	case e.Image != "" && !d.skipBuild:
		return usage("--image is used instead of a build: give --skip-build with it")
	case e.Resume && e.To != "":
		return usage("give either --resume or --to, not both")
	case e.To != "" && pushed:
		return usage("--to deploys what was built earlier: leave out --image and --skip-build")
	case !e.Source.Valid():
		return usage("--source is auto, machine or registry, not %q", string(e.Source))
	case e.Source == engine.SourceRegistry && e.RunReleaseCommand:
		return usage("--release-command runs in a temporary machine, and --source registry takes none: leave out one of the two")
	case e.Source == engine.SourceRegistry && e.ApplyConfig:
		return usage("--apply-config has a temporary machine read the configuration, and --source registry takes none: leave out one of the two")
	case e.Resume && pushed:
		return usage("--resume deploys what the last deploy built: leave out --image and --skip-build")
	}
	return nil
}

// asks reports whether somebody has to confirm the plan.
func (d *deploySettings) asks() bool { return !d.engine.Yes && !d.engine.DryRun }

// asked are the settings of a deploy whose questions somebody answers on the screen; --force answers none of them there.
func (d *deploySettings) asked(r engine.Request) engine.Settings {
	s := d.engine
	s.Select, s.Ask, s.Force, s.Resume, s.To, s.Meant = r.Select, true, false, r.Resume, r.To, r.Meant
	if r.Resume {
		s.Select = engine.Selection{} // that one has its own
	}
	if r.Resume || r.To != "" {
		s.Image = ""
	}
	if r.EndTrial != engine.TrialGoesOn {
		s.EndTrial, s.Strategy.Trial = r.EndTrial, 0
	}
	if chosen := r.Chosen; chosen != nil {
		if chosen.Kind != "" {
			s.Strategy.Kind, s.StrategyGiven.Kind = chosen.Kind, true
		}
		if chosen.Bake != nil {
			s.Strategy.Bake, s.StrategyGiven.Bake = *chosen.Bake, true
		}
		s.Message = chosen.Message
	}
	return s
}

// fromFile is the app that fly.toml in the working folder names, "" for none.
func (d *deploySettings) fromFile() string {
	config, err := fly.LoadConfig(fly.FindConfig("."))
	if err != nil {
		return ""
	}
	return config.App
}

// forApp are the settings of a console on an app that was chosen in another one. Where the command line meant another app, they have
// nothing of it but how the console looks, and where fly.toml of the working folder is another app's, nothing of that folder either.
func (d deploySettings) forApp(app, here string) deploySettings {
	d.told = true
	if app == d.name || d.name == "" && app == here {
		d.name = app
		return d
	}
	other := defaultDeploy()
	other.register(&cobra.Command{}) // which sets what options are without a word
	other.screenSettings, other.readOnly, other.name, other.elsewhere, other.foreign = d.screenSettings, d.readOnly, app, true, app != here
	return other
}

// errForeign is why nothing is built for an app whose folder is another one.
func errForeign(app string) error {
	return engine.NewProblem("foreign_folder", "this is not the folder of "+app+": it would be built from another app's code", nil,
		"Start flydeploy in the folder of its fly.toml. What was deployed before can be deployed again from the record (r, then d).")
}
