package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"flydeploy/engine"
)

// Last gives the last deploy, by the bucket's clock: the one that `hot --resume` finishes. One that succeeded may be finished again,
// which changes nothing where every machine has it, and upgrades those that have come or were restarted since.
func Last(ctx context.Context, records engine.Records) (Record, error) {
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
		}
		return r, nil
	}
	return Record{}, nothingToResume("no deploy is recorded")
}

func nothingToResume(what string) error {
	return engine.NewProblem("nothing_to_resume", what, nil, "`flydeploy hot` deploys anew, `flydeploy hot --to ID` an earlier version (`flydeploy history`).")
}

// CloseUnfinished marks a deploy as unfinished whose record says that it runs. Only the owner of the deploy lock may know that
// it does not.
func CloseUnfinished(ctx context.Context, records engine.Records, r Record) error {
	r.Running, r.Outcome = false, engine.OutcomeUnfinished
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return records.WriteResult(ctx, r.ID, recordFile, append(body, '\n'))
}

// IsOver reports whether the deploy that made a temporary machine is over, as the owner of the deploy lock knows it: deploys that
// held the lock have a record, and are over. A plan has none: it is over once its machine should have ended itself after livesFor.
func IsOver(ctx context.Context, storage engine.Storage, id string, livesFor time.Duration) bool {
	if made, err := ulid.ParseStrict(id); err == nil && storage.Clock().Sub(ulid.Time(made.Time())) > livesFor {
		return true
	}
	_, err := storage.Records.Result(ctx, id, recordFile)
	return err == nil
}
