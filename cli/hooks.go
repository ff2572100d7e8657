package cli

import (
	"fmt"
	"os"
	"strings"
	"time"

	"flydeploy/cli/hooks"
	"flydeploy/engine"
	"flydeploy/tui/plain"
)

// projectHooks is [hooks] of flydeploy.toml: a command for sh at each moment of a deploy.
type projectHooks struct {
	BeforeBuild  string                `toml:"before_build"`
	Planned      string                `toml:"planned"`
	BeforeCommit string                `toml:"before_commit"`
	AfterCommit  string                `toml:"after_commit"`
	Unhealthy    string                `toml:"unhealthy"`
	Ended        string                `toml:"ended"`
	Timeouts     map[engine.Moment]int `toml:"timeouts"` // seconds
}

// projectNotify is [notify]: where the outcome is posted. Values that begin with "env:" name a variable of the environment.
type projectNotify struct {
	URL     string            `toml:"url"`
	Headers map[string]string `toml:"headers"`
}

func (h projectHooks) commands() map[engine.Moment]string {
	return map[engine.Moment]string{
		engine.MomentBeforeBuild: h.BeforeBuild, engine.MomentPlanned: h.Planned, engine.MomentBeforeCommit: h.BeforeCommit,
		engine.MomentAfterCommit: h.AfterCommit, engine.MomentUnhealthy: h.Unhealthy, engine.MomentEnded: h.Ended,
	}
}

// check refuses a limit for what is no hook, or that no hook can have.
func (h projectHooks) check(path string) error {
	commands := h.commands()
	for moment, seconds := range h.Timeouts {
		longest := int(hooks.MaxTimeout.Seconds())
		switch command, known := commands[moment]; {
		case !known:
			return engine.NewProblem("broken_config", fmt.Sprintf("%s: [hooks.timeouts] has no hook %s", path, moment), nil, "The hooks are "+momentNames()+".")
		case command == "":
			return engine.NewProblem("broken_config", fmt.Sprintf("%s: [hooks.timeouts] %s: [hooks] has no command for it", path, moment), nil, "Give it a command, or remove its limit.")
		case seconds < 1 || seconds > longest:
			return engine.NewProblem("broken_config", fmt.Sprintf("%s: [hooks.timeouts] %s is not between 1 and %d seconds", path, moment, longest), nil, "Correct the file.")
		}
	}
	return nil
}

func momentNames() string {
	names := make([]string, 0, len(engine.Moments))
	for _, m := range engine.Moments {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}

// openHooks gives a deploy's hooks, nil where it has none, with what the environment holds for them when the deploy starts. A nil openHooks
// gives none.
type openHooks func() (engine.Hooks, error)

func (open openHooks) open() (engine.Hooks, error) {
	if open == nil {
		return nil, nil
	}
	return open()
}

// hooksOf gives what flydeploy.toml wants run in dir and, where a deploy has an outcome to post, posted. A console that only looks needs
// none of it, so that a variable that is not set is an error of the deploy.
func hooksOf(p project, dir string, posts bool) openHooks {
	h := hooks.Hooks{Dir: dir, Commands: p.Hooks.commands(), Timeouts: map[engine.Moment]time.Duration{}}
	for moment, seconds := range p.Hooks.Timeouts {
		h.Timeouts[moment] = time.Duration(seconds) * time.Second
	}
	return func() (engine.Hooks, error) {
		if p.Notify == nil || !posts {
			return h, nil
		}
		opened := h
		var err error
		opened.Notify, err = hooks.Notify{URL: p.Notify.URL, Headers: p.Notify.Headers, Text: plain.Notice}.Resolve(os.Getenv)
		return opened, err
	}
}
