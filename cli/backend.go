package cli

import (
	"context"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/tui/plain"
)

// historyShown is how many deploys the console's record lists.
const historyShown = 200

// backend is the app as the console asks it.
type backend struct {
	*connection
	deploy func(engine.Request) (plain.Deployment, error)
	sheet  func(context.Context) (engine.Sheet, error)
}

// Overview implements tui.Backend.
func (b *backend) Overview(ctx context.Context) (engine.Overview, error) { return b.overview(ctx) }

// Inspect implements tui.Backend.
func (b *backend) Inspect(ctx context.Context) (engine.Overview, error) { return b.inspected(ctx) }

// Sheet implements tui.Backend.
func (b *backend) Sheet(ctx context.Context) (engine.Sheet, error) { return b.sheet(ctx) }

// Deploy implements tui.Backend.
func (b *backend) Deploy(r engine.Request) (plain.Deployment, error) { return b.deploy(r) }

// History implements tui.Backend.
func (b *backend) History(ctx context.Context) ([]engine.Past, error) {
	records, err := b.records(ctx)
	if err != nil {
		return nil, err
	}
	return record.History(ctx, records, historyShown)
}

// Events implements tui.Backend.
func (b *backend) Events(ctx context.Context, id string) ([]engine.Event, *engine.Result, error) {
	records, err := b.records(ctx)
	if err != nil {
		return nil, nil, err
	}
	return record.ReadEvents(ctx, records, id)
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
	return record.ReadResult(ctx, records, id)
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
		o.source = record.Watch(records, o.id, watchEvery)
	}
	return o.source.Next(ctx)
}
