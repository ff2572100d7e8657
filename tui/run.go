// Package tui is the console: fleet, deploys, record and replays on the terminal.
//
// The console's rules. One model, changed by Update alone; what takes time runs in commands. Panels are functions that
// render for a given size and keep nothing. The engine never waits for the screen. Status is a glyph and a word, never
// colour alone. Nothing that was not reported moves. No key that changes anything acts on what cannot be seen.
package tui

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/plain"
	"flydeploy/tui/views"
)

// Backend is what the console asks and tells the app that it shows. Only Deploy, which is never called by a read-only
// console, changes anything; see also Acts. While the home screen is shown the console reads the overview every 2 s, of a large fleet every 6 s.
type Backend interface {
	plain.Backend
	// Inspect is an overview that also asks every VM for the code that it has loaded. That costs the VMs something, so it
	// is made when the operator wants it.
	Inspect(context.Context) (engine.Overview, error)
	// Watch follows a deploy that somebody else runs, and Outcome tells its end.
	Watch(id string) engine.Source
	Outcome(ctx context.Context, id string) (engine.Result, error)
}

// Options of the console.
type Options struct {
	App, Org string
	Version  string // of flydeploy
	// Backend is the app that the console shows and deploys; nil for a Record alone.
	Backend Backend
	// Record plays a stream of events in the place of the fleet, Speed times as fast as it was (0: to its end at once);
	// Ended is how it ended, nil where nobody knows. WatchID starts with watching a deploy.
	Record  []engine.Event
	Ended   *engine.Result
	Speed   float64
	WatchID string
	// Preselect marks machines at the start. With StartDeploy the console goes straight into their deploy.
	Preselect   engine.Selection
	StartDeploy bool
	// Accept names blockers that the command line has accepted: the engine does not stop at them.
	Accept []string
	// Recall gives the command that shows a deploy again, for its summary; nil or "" for none.
	Recall func(engine.Result) string
	// Logs reads what the app's machines print; nil: the console shows none.
	Logs engine.Logs
	// Apps lists the apps that the token may see, and Setup tells what an app needs, again with each step of which more is known; nil: the console shows neither. Without a Backend
	// the console asks which app is meant, or where App names one, it tells what is missing.
	Apps  func(context.Context) ([]engine.FlyApp, error)
	Setup func(ctx context.Context, tell func([]engine.SetupStep))
	// Terminal looks up how to open a shell on a machine, or with iex an IEx in its VM; nil: the console opens none. When ctx ends, so
	// does what was opened.
	Terminal func(ctx context.Context, machine string, iex bool) (plain.Visit, error)
	// Me tells who deploys from here, as locks name it; nil: nobody knows which lock is one's own.
	Me func(context.Context) string
	// Acts are what can be done besides a deploy.
	Acts plain.Acts
	// Header, when set, is asked at every tick for a short line to show, e.g. the demo's traffic. It runs outside of
	// Update, one call at a time.
	Header func() string

	ReadOnly  bool        // no key changes anything
	ASCII     bool        // no glyphs beyond ASCII
	NoBell    bool        // neither bell nor notification when the operator is away
	NoMouse   bool        // the terminal keeps the mouse
	WebURL    string      // of Fly's dashboard, to which apps and machines are linked; "" for no links
	Theme     string      // dark or light; anything else asks the terminal
	Skin      cells.Skin  // "" is the default
	Keys      Keys        // that were chosen, and checked
	Columns   Columns     // of the fleet, likewise
	Views     views.Store // of the app
	Settings  []Setting   // what is in force, to be shown
	Wrong     []string    // what somebody has set that cannot be
	WrongTold bool        // the console before this one has told that
	Dir       string      // where copied texts and saved logs go; "" is flydeploy's folder in the user's cache
	Environ   []string    // decides on colours; nil: os.Environ()

	Input  io.Reader // nil: the terminal
	Output io.Writer // nil: standard output
}

func (o *Options) recall(r engine.Result) string {
	if o.Recall == nil {
		return ""
	}
	r.Upgrade.ID = text.Line(r.Upgrade.ID) // a record may hold anything
	return text.Block(o.Recall(r))
}

// cacheDir is where texts go unless a folder was named.
func (o *Options) cacheDir() string {
	if o.Dir != "" {
		return o.Dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "flydeploy")
}

// Ended is how a console was left.
type Ended struct {
	// Summary is the text for the scrollback: one paragraph for each deploy that ended; "" for none.
	Summary string
	// Result of the last deploy that ended.
	Result *engine.Result
	// Running is a deploy that has not ended: after a detach, or because the console was ended from outside or crashed.
	// Follow it with plain.Lines and Progress; stop it first unless Detached.
	Running  plain.Deployment
	Progress *engine.Progress // what was shown of Running
	Next     *Next            // the console that the operator wants instead of this one; nil for none
	Detached bool             // it continues: the operator wanted that, or the console crashed after the plan was confirmed
}

// Next is a console on another app, or on the same one with what was missing.
type Next struct{ App string }

// Run shows the console until the operator leaves it, or until ctx ends, which is an error. The terminal is restored
// whatever happens, also after a bug in the console: see CrashError. The caller handles signals, by ending ctx.
func Run(ctx context.Context, o Options) (Ended, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.Output == nil {
		o.Output = os.Stdout
	}
	work := newBackground(ctx)
	c := newConsole(o, work)
	var p *tea.Program
	c.painter = newPainter(o, func(crash *CrashError) { go p.Send(crashMsg{crash}) })
	p = tea.NewProgram(c, c.painter.options()...)
	quit := make(chan struct{})
	keepRunning := context.AfterFunc(ctx, func() { defer close(quit); p.Quit() })
	_, err := p.Run()
	c.painter.leave()
	if !keepRunning() {
		<-quit
		err = errors.Join(err, context.Cause(ctx))
	}
	work.end()
	if c.crash != nil {
		err = errors.Join(c.crash, err)
	}
	return c.ended(), err
}

// ended gathers what a console leaves behind, including what its last commands brought after it was left.
func (c *console) ended() Ended {
	e := Ended{Detached: c.detached}
	if c.deploy != nil {
		c.deploy.take(c.now)
		e.Detached = e.Detached || c.crash != nil && c.deploy.committing()
		if result := c.deploy.result; result != nil {
			c.finish()
		} else if running := c.deploy.session.deployment(); running != nil {
			e.Running, e.Progress = running, c.deploy.progress
		}
	}
	e.Next = c.next
	e.Summary, e.Result = strings.Join(c.summaries, "\n"), c.lastResult
	return e
}
