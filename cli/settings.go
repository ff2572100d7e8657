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
	"flydeploy/engine/agent"
	"flydeploy/fly"
)

// settings are what the command line, flydeploy.toml, fly.toml and the environment make together, in this order of
// precedence.
type settings struct {
	flags  deployFlags
	app    string
	bucket string // "" leaves it to the environment that the storage's settings come from
	otpApp string
	// release is the one to upgrade; what is empty is asked of the running VM.
	release agent.Release
	env     map[string]string // for the temporary machine: [env] of fly.toml, over it env of flydeploy.toml
	flyEnv  map[string]string // [env] of fly.toml

	strategy engine.Strategy
	config   string // path of fly.toml, "" where there is none
}

// loadSettings reads the files that belong to the command line, and checks the options of a deploy.
func loadSettings(cmd *cobra.Command, f deployFlags) (settings, error) {
	given := settings{flags: f, strategy: f.chooseStrategy(cmd.Flags().Changed("bake"), cmd.Flags().Changed("max-concurrency"))}
	if err := given.check(); err != nil { // before a file is missed that has nothing to do with it
		return given, err
	}
	s, err := readSettings(cmd, f)
	if err != nil {
		return s, err
	}
	return s, s.check()
}

// readSettings reads the files that belong to the command line.
func readSettings(cmd *cobra.Command, f deployFlags) (settings, error) {
	if err := f.appFlags.check(); err != nil {
		return settings{flags: f}, err
	}
	if !cmd.Flags().Changed("config") {
		f.config = fly.FindConfig(".")
	}
	config, err := fly.LoadConfig(f.config)
	found := f.config
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && f.app != "" && !cmd.Flags().Changed("config"):
		found = ""
	default:
		return settings{flags: f}, err
	}
	mine, err := loadProject(filepath.Join(filepath.Dir(f.config), "flydeploy.toml"))
	if err != nil {
		return settings{flags: f}, err
	}
	s, err := merge(f, cmd.Flags().Changed, mine, config, os.Getenv)
	s.config = found
	return s, err
}

// merge puts the sources together. changed tells which options the command line sets.
func merge(f deployFlags, changed func(option string) bool, p project, config fly.Config, getenv func(string) string) (settings, error) {
	s := settings{
		flags: f, bucket: cmp.Or(f.bucket, p.Bucket), otpApp: cmp.Or(f.otpApp, p.OTPApp),
		release: agent.Release{Name: cmp.Or(f.release, p.Release), Root: cmp.Or(f.releaseRoot, p.ReleaseRoot)},
		env:     map[string]string{}, flyEnv: config.Env,
	}
	maps.Copy(s.env, config.Env)
	maps.Copy(s.env, p.Env)
	set := func(option string, from *int, to func(int)) {
		if from != nil && !changed(option) {
			to(*from)
		}
	}
	set("max-concurrency", p.MaxConcurrency, func(n int) { s.flags.maxConcurrency = n })
	s.strategy = s.flags.chooseStrategy(changed("bake"), changed("max-concurrency") || p.MaxConcurrency != nil)
	set("timeout", p.Timeout, s.flags.timeout.set)
	set("suspend-timeout", p.SuspendTimeout, s.flags.suspendTimeout.set)
	set("lock-timeout", p.LockTimeout, s.flags.lockTimeout.set)
	if root := s.release.Root; root != "" && !path.IsAbs(root) {
		return s, usage("the release's root is a folder of the image like /app, not %q", root)
	}
	var err error
	s.app, err = chooseApp(f.app, config.App, getenv("FLY_APP"))
	return s, err
}

// chooseApp gives the app's name. flyctl prefers FLY_APP to fly.toml; where the two differ we ask, since the wrong
// choice would deploy to another app.
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

// minLockTimeout: an armed agent may commit for 60 s after the last word from its console, then its window and what follows
// it take their time. A lock that is left because a machine's end is unknown must not expire before.
const minLockTimeout = 120 * time.Second

// check tells options that cannot work, or not together.
func (s *settings) check() error {
	f := s.flags
	for _, arg := range f.buildArgs {
		if name, _, ok := strings.Cut(arg, "="); !ok || name == "" {
			return usage("--build-arg is NAME=VALUE") // the argument itself may be a secret
		}
	}
	if err := f.checkTheme(); err != nil {
		return err
	}
	switch {
	case f.skipBuild && f.image == "":
		return usage("--skip-build needs --image")
	case f.image != "" && !f.skipBuild:
		return usage("--image is used instead of a build: give --skip-build with it")
	case f.lockTimeout.Duration < minLockTimeout:
		return usage("--lock-timeout is in seconds and at least %d: a machine may still commit for so long after its console is gone", int(minLockTimeout.Seconds()))
	case f.keep < 1:
		return usage("--keep must be at least 1")
	case f.lockWait.Duration < 0:
		return usage("--lock-wait must not be negative")
	case f.resume && f.to != "":
		return usage("--resume and --to exclude each other")
	case f.to != "" && (f.image != "" || f.skipBuild):
		return usage("--to deploys what was built before: it goes without --image and --skip-build")
	case f.resume && (f.image != "" || f.skipBuild):
		return usage("--resume deploys what the last deploy has built: it goes without --image and --skip-build")
	case f.maxConcurrency < 1:
		return usage("--max-concurrency must be at least 1")
	case f.strategy != "" && !slices.Contains(engine.Strategies, engine.StrategyKind(f.strategy)):
		return usage("--strategy is all, rolling or canary, not %q", f.strategy)
	case s.strategy.Bake < 0 || s.strategy.Bake > engine.MaxBake:
		return usage("--bake is at most %s: agents watch no longer", engine.MaxBake)
	case f.suspendTimeout.Duration <= 0 || f.timeout.Duration <= 0:
		return usage("--timeout and --suspend-timeout must be more than 0")
	}
	return nil
}

// target is what is looked for on the fleet.
func (s *settings) target() engine.App { return engine.App{OTPApp: s.otpApp, Release: s.release} }

// dir is the folder of the app.
func (s *settings) dir() string { return filepath.Dir(s.config) }

// deploy gives the engine's settings of one deploy.
func (s *settings) deploy(sel engine.Selection, ask bool) engine.Settings {
	f := s.flags
	return engine.Settings{
		App: s.app, OTPApp: s.otpApp, Release: s.release, Owner: fly.Owner(), Message: f.message, Select: sel,
		MaxConcurrency: f.maxConcurrency, Timeout: f.timeout.Duration, SuspendTimeout: f.suspendTimeout.Duration,
		Strategy:    s.strategy,
		LockTimeout: f.lockTimeout.Duration, LockWait: f.lockWait.Duration, Keep: f.keep, Resume: f.resume, To: f.to,
		DryRun: f.dryRun, Yes: f.yes, Ask: ask, Accept: f.accept, Force: f.force && !ask, Image: f.image, Env: s.env,
	}
}
