package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/text"
	"flydeploy/tui"
	"flydeploy/tui/plain"
)

// openConsole opens the console on the fleet; on another app after that, where the operator wants one. Where no app is named the
// console asks which one is meant, and where there is no token it tells what is missing.
func openConsole(cmd *cobra.Command, d deploySettings, signals *interrupts) error {
	d.readFile(cmd)
	if out, err := d.chooseOutput(true); err != nil || out != outputConsole {
		return usage("the console needs a terminal: use `flydeploy status`, `flydeploy hot --yes`, or --accessible")
	}
	given := d
	err := d.load(cmd)
	here := d.fromFile()
	for {
		var next *tui.Next
		switch {
		case err != nil && isUnnamed(err, given) && d.asksForApp():
			next, err = d.ask(cmd, signals, here, "")
		case err != nil:
			return err
		default:
			next, err = d.openApp(cmd, signals, here)
		}
		if next == nil || err != nil {
			return err
		}
		d = given.forApp(next.App, here)
		err = d.load(cmd)
	}
}

// openApp opens the console on one app, and gives what the operator wants instead of it, nil for nothing.
func (d deploySettings) openApp(cmd *cobra.Command, signals *interrupts, here string) (*tui.Next, error) {
	c, err := connectDeploy(d, signals)
	if err != nil {
		if engine.AsProblem(err).Name != "no_token" || d.accessible {
			return nil, err
		}
		return d.ask(cmd, signals, here, d.name)
	}
	openedApps().add(d.name, time.Now())
	o := tui.Options{Apps: listApps(here), Setup: func(ctx context.Context, tell func([]engine.SetupStep)) { setup(ctx, d.name, c, tell) }}
	result, next, err := c.console(cmd, d, o)
	if next != nil && err == nil {
		return next, nil
	}
	return nil, exitOf(result, err)
}

// asksForApp reports whether the console can ask which app is meant. In words it does not tell what is missing but the app.
func (d deploySettings) asksForApp() bool {
	_, _, err := fly.Token()
	return err == nil || !d.accessible
}

// ask opens a console that asks for the app, or where one is named tells what is missing.
func (d deploySettings) ask(cmd *cobra.Command, signals *interrupts, here, app string) (*tui.Next, error) {
	o := d.screen(tui.Options{App: app, ReadOnly: d.readOnly})
	o.Setup = func(ctx context.Context, tell func([]engine.SetupStep)) {
		setup(ctx, cmp.Or(d.name, "my-app"), nil, tell)
	}
	if _, _, err := fly.Token(); err == nil {
		o.Apps = listApps(here)
	}
	if d.accessible {
		chosen, err := plain.ChooseApp(cmd.Context(), inWords(cmd, o))
		if chosen == "" {
			return nil, err
		}
		return &tui.Next{App: chosen}, err
	}
	end, err := signals.whileRead(func() (tui.Ended, error) { return tui.Run(cmd.Context(), o) })
	return end.Next, err
}

// isUnnamed reports whether nothing names the app.
func isUnnamed(err error, given deploySettings) bool {
	return given.name == "" && os.Getenv("FLY_APP") == "" && errors.Is(err, fs.ErrNotExist)
}

// exitOf gives the error to exit with after a console: the last deploy's outcome, if there was one.
func exitOf(r *engine.Result, err error) error {
	if err != nil || r == nil {
		return err
	}
	return outcomeOf(*r)
}

// dashboard is where Fly shows apps and machines in a browser.
const dashboard = "https://fly.io"

// console runs the Bubble Tea program. Afterwards the summaries stay in the scrollback, and a deploy that still runs is
// followed in plain lines: to its end where the operator detached, to a stop where the console was ended from outside.
// It gives the end of the last deploy, and the console that is wanted instead; nil for none.
func (c *connection) console(cmd *cobra.Command, d deploySettings, o tui.Options) (*engine.Result, *tui.Next, error) {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	o = d.screen(o)
	if o.App, o.ReadOnly = d.name, d.readOnly && !d.engine.DryRun; c.fleet != nil {
		o.Logs = c.fleet
	}
	if !o.ReadOnly {
		o.Terminal = c.terminal
	}
	o.Me = c.me
	if !c.passing { // the demo's machines have no page
		o.WebURL = dashboard
	}
	o.Views = keptViews(d.name)
	o.Preselect, o.Accept, o.Recall, o.Acts = d.engine.Select, d.engine.Accept, c.recall, c.acts(o.ReadOnly)
	var meant atomic.Bool // what the command line says of an earlier deploy means one deploy
	o.Backend = &backend{connection: c, sheet: func(ctx context.Context) (engine.Sheet, error) {
		return d.sheet(ctx, !meant.Load())
	}, deploy: func(r engine.Request) (plain.Deployment, error) {
		s := d.asked(r)
		if !r.Resume && r.To == "" && r.EndTrial == "" && meant.CompareAndSwap(false, true) {
			s.Resume, s.To = d.engine.Resume, d.engine.To
		}
		deploy, err := c.start(context.WithoutCancel(ctx), identify(ctx, d.dir()).sign(s))
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, deploy.Stop) // at once, also where the terminal has stopped reading and the console hangs
		return deploy, nil
	}}
	end, err := c.show(cmd, d.accessible, o)
	if end.Summary != "" {
		fmt.Fprintln(out, end.Summary)
	}
	result := end.Result
	if end.Running != nil {
		if !end.Detached {
			end.Running.Stop()
			c.signals.stopped()
		}
		defer c.signals.tellStopping(ctx)()
		plainErr := plain.Lines(ctx, out, end.Running, end.Progress)
		r := end.Running.Result()
		fmt.Fprintln(out, plain.Summary(r)+c.recall(r))
		result, err = &r, errors.Join(err, plainErr)
	}
	return result, end.Next, err
}

// me is who deploys from here, as locks name it.
func (c *connection) me(ctx context.Context) string {
	if c.passing { // the demo has no login
		return localUser()
	}
	ctx, cancel := context.WithTimeout(ctx, identityWithin)
	defer cancel()
	return owner(ctx)
}

// show runs the console, as a screen or in plain lines.
func (c *connection) show(cmd *cobra.Command, accessible bool, o tui.Options) (tui.Ended, error) {
	if !accessible {
		return c.signals.whileRead(func() (tui.Ended, error) { return tui.Run(cmd.Context(), o) })
	}
	end, err := plain.Accessible(cmd.Context(), inWords(cmd, o))
	ended := tui.Ended{Result: end.Result}
	if end.App != "" {
		ended.Next = &tui.Next{App: end.App}
	}
	return ended, err
}

// inWords are the same options for the accessible console.
func inWords(cmd *cobra.Command, o tui.Options) plain.Options {
	wrong := o.Wrong
	if o.WrongTold {
		wrong = nil
	}
	var watch func(string) engine.Source
	if o.Backend != nil {
		watch = o.Backend.Watch
	}
	return plain.Options{
		App: o.App, Backend: o.Backend, Preselect: o.Preselect, StartDeploy: o.StartDeploy, Accept: o.Accept, ReadOnly: o.ReadOnly,
		Logs: o.Logs, Apps: o.Apps, Views: o.Views, Terminal: o.Terminal, Acts: o.Acts, Wrong: wrong, Recall: o.Recall, Watch: watch,
		Input: cmd.InOrStdin(), Output: cmd.OutOrStdout(),
	}
}

// showRecord plays a recorded deploy in the console.
func showRecord(ctx context.Context, s spectatorSettings, events []engine.Event, ended engine.Result, speed float64) error {
	app := s.name
	for _, e := range events {
		if e.Upgrade != nil {
			app = e.Upgrade.App
		}
	}
	o := s.screen(tui.Options{App: app, Record: events, Ended: &ended, Speed: speed})
	if events == nil {
		o.Record = []engine.Event{}
	}
	_, err := tui.Run(ctx, o)
	return err
}

// showOther follows a deploy that somebody else runs in the console.
func (c *connection) showOther(ctx context.Context, s screenSettings, id string) error {
	o := s.screen(tui.Options{App: c.app.name, WatchID: id, WebURL: dashboard, Backend: &backend{connection: c}, Logs: c.fleet})
	_, err := tui.Run(ctx, o)
	return err
}

// recall are the commands that finish a deploy, and show it again.
func (c *connection) recall(r engine.Result) string {
	if c.passing || r.Upgrade.ID == "" || r.DryRun {
		return ""
	}
	recall := ""
	if r.Outcome == engine.OutcomePartial && r.TrialEnd != engine.TrialTakenBack {
		recall = "  finish it: flydeploy hot --resume\n"
	}
	return recall + fmt.Sprintf("  show it again: flydeploy replay %s\n", text.Line(r.Upgrade.ID))
}
