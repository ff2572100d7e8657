package cli

import (
	"context"
	"errors"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/plain"
)

// acts are the commands of the same names, for a console: with their questions, their words and their code.
func (c *connection) acts(readOnly bool) plain.Acts {
	acts := plain.Acts{Doctor: func(ctx context.Context, tell func(engine.Check)) error { return c.examine(ctx, readOnly, tell) }}
	if readOnly {
		return acts
	}
	acts.Withdraw = func(ctx context.Context, message string) (plain.Change, error) {
		t, err := c.storage(ctx)
		if err != nil {
			return plain.Change{}, err
		}
		w, err := c.askWithdrawal(ctx, t)
		if err != nil {
			return plain.Change{}, err
		}
		return plain.Change{Question: w.question, Make: func(ctx context.Context) (string, error) {
			done, err := w.make(ctx, engine.Settings{App: c.app.name, Message: message, LockTimeout: time.Minute})
			return withdrawnText(done, c.app.keys), err
		}}, nil
	}
	acts.Release = func(ctx context.Context) (plain.Change, error) {
		t, err := c.storage(ctx)
		if err != nil {
			return plain.Change{}, err
		}
		held, err := t.Storage.Locks.Current(ctx)
		if errors.Is(err, engine.ErrNotFound) {
			return plain.Change{Question: lockText(false, held)}, nil
		}
		return plain.Change{Question: releaseQuestion(held), Make: func(ctx context.Context) (string, error) {
			return releasedText(held), c.release(ctx, t, held)
		}}, err
	}
	acts.Freeze = func(ctx context.Context, why, end string) (plain.Change, error) {
		f, err := typedFreeze(why, end, time.Now())
		if err != nil {
			return plain.Change{}, err
		}
		t, err := c.storage(ctx)
		if err != nil {
			return plain.Change{}, err
		}
		until := time.Now().Add(f.d)
		return plain.Change{Question: f.question(c.app.name, until), Make: func(ctx context.Context) (string, error) {
			f.d = time.Until(until)
			held, err := f.take(ctx, c, t)
			return frozenText(held), err
		}}, f.possible(ctx, t)
	}
	return acts
}
