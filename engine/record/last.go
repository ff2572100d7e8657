package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"flydeploy/engine"
)

// Last gives the last deploy by the bucket's clock, which is the one that `hot --resume` finishes. It may have succeeded: resuming
// it changes nothing on machines that run it, and upgrades those that have come or restarted since. The problem
// "nothing_to_resume" says that there is none, or that the upgrades were withdrawn after it.
func Last(ctx context.Context, records engine.Results) (Record, error) {
	ids, err := records.Upgrades(ctx)
	if err != nil {
		return Record{}, fmt.Errorf("list the recorded deploys: %w", err)
	}
	for _, id := range ids {
		r, err := Read(ctx, records, id)
		switch {
		case errors.Is(err, engine.ErrNotFound) || err == nil && r.Outcome == engine.OutcomeUnreadable:
			continue
		case err != nil:
			return r, err
		case r.Outcome == engine.OutcomeWithdrawn:
			return r, nothingToResume(fmt.Sprintf("the upgrades were withdrawn after the last deploy (%s)", id))
		case r.TrialEnd == engine.TrialTakenBack:
			return r, nothingToResume(fmt.Sprintf("the last deploy (%s) has taken back what was on trial", id))
		case r.TrialEnd == engine.TrialConfirmed: // what it has confirmed is resumed
			continue
		}
		return r, nil
	}
	return Record{}, nothingToResume("no deploy is recorded")
}

func nothingToResume(what string) error {
	return engine.NewProblem("nothing_to_resume", what, nil, "`flydeploy hot` makes a new deploy, and `flydeploy hot --to ID` deploys an earlier version again (see `flydeploy history`).")
}

// CloseUnfinished marks a deploy whose record says that it runs as unfinished. Only the owner of the deploy lock can know that it
// does not run.
func CloseUnfinished(ctx context.Context, records engine.Results, r Record) error {
	r.Running, r.Outcome = false, engine.OutcomeUnfinished
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return records.WriteResult(ctx, r.ID, recordFile, append(body, '\n'))
}
