package cli

import (
	"context"
	"fmt"
	"os"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui"
	"flydeploy/tui/plain"
)

// historyShown is how many deploys the console's record lists.
const historyShown = 200

// show runs the console, as a screen or in plain lines.
func (c *connection) show(ctx context.Context, o tui.Options) (tui.Ended, error) {
	if !c.settings.flags.accessible {
		return tui.Run(ctx, o)
	}
	result, err := plain.Accessible(ctx, plain.Options{
		App: o.App, Backend: o.Backend, Preselect: o.Preselect, StartDeploy: o.StartDeploy, Accept: o.Accept, ReadOnly: o.ReadOnly,
		Recall: o.Recall, Input: os.Stdin, Output: os.Stdout,
	})
	return tui.Ended{Result: result}, err
}

// backend is the app as the console asks it.
type backend struct {
	*connection
	deploy func(engine.Selection) (plain.Deployment, error)
}

// Overview implements tui.Backend.
func (b *backend) Overview(ctx context.Context) (engine.Overview, error) { return b.overview(ctx) }

// Inspect implements tui.Backend.
func (b *backend) Inspect(ctx context.Context) (engine.Overview, error) { return b.inspected(ctx) }

// Deploy implements tui.Backend.
func (b *backend) Deploy(sel engine.Selection) (plain.Deployment, error) { return b.deploy(sel) }

// History implements tui.Backend.
func (b *backend) History(ctx context.Context) ([]engine.Past, error) {
	records, err := b.records(ctx)
	if err != nil {
		return nil, err
	}
	return engine.History(ctx, records, historyShown)
}

// Events implements tui.Backend.
func (b *backend) Events(ctx context.Context, id string) ([]engine.Event, *engine.Result, error) {
	records, err := b.records(ctx)
	if err != nil {
		return nil, nil, err
	}
	return engine.Recorded(ctx, records, id)
}

// Watch implements tui.Backend.
func (b *backend) Watch(id string) engine.Source {
	return &otherDeploy{connection: b.connection, id: id}
}

// Outcome implements tui.Backend.
func (b *backend) Outcome(ctx context.Context, id string) (engine.Result, error) {
	records, err := b.records(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	return engine.RecordedResult(ctx, records, id)
}

func (c *connection) records(ctx context.Context) (engine.Records, error) {
	target, err := c.storage(ctx)
	if err != nil {
		return nil, err
	}
	return target.Storage.Records, nil
}

// otherDeploy is one that somebody else runs. Where its record is, is found out with the first look.
type otherDeploy struct {
	connection *connection
	id         string
	source     engine.Source
}

func (o *otherDeploy) Next(ctx context.Context) ([]engine.Event, error) {
	if o.source == nil {
		records, err := o.connection.records(ctx)
		if err != nil {
			return nil, err
		}
		o.source = engine.Watch(records, o.id, watchEvery)
	}
	return o.source.Next(ctx)
}

// showRecord plays a recorded deploy in the console.
func showRecord(ctx context.Context, f deployFlags, events []engine.Event, ended engine.Result, speed float64) error {
	app := f.app
	for _, e := range events {
		if e.Upgrade != nil {
			app = e.Upgrade.App
		}
	}
	o := tui.Options{App: app, Version: version, Record: events, Ended: &ended, Speed: speed, ASCII: f.ascii, Theme: f.theme}
	if events == nil {
		o.Record = []engine.Event{}
	}
	_, err := tui.Run(ctx, o)
	return err
}

// showOther follows a deploy that somebody else runs in the console.
func (c *connection) showOther(ctx context.Context, id string) error {
	f := c.settings.flags
	o := tui.Options{App: c.settings.app, Version: version, WatchID: id, ASCII: f.ascii, Theme: f.theme, Backend: &backend{connection: c}}
	_, err := tui.Run(ctx, o)
	return err
}

// recall are the commands that finish a deploy, and show it again.
func (c *connection) recall(r engine.Result) string {
	if c.passing || r.Upgrade.ID == "" || r.DryRun {
		return ""
	}
	recall := ""
	if r.Outcome == engine.OutcomePartial {
		recall = "  finish it: flydeploy hot --resume\n"
	}
	return recall + fmt.Sprintf("  show it again: flydeploy replay %s\n", text.Line(r.Upgrade.ID))
}
