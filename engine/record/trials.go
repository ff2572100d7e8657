package record

import (
	"context"
	"errors"

	"flydeploy/engine"
)

// addTrial says of the deploy that is on trial until when it is.
func addTrial(ctx context.Context, records engine.Current, past []*engine.Past) error {
	md, _, err := records.Metadata(ctx)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	trial := md.Trial()
	for _, p := range past {
		if p != nil && trial != nil && p.ID == trial.ID {
			p.Trial = trial
		}
	}
	return nil
}
