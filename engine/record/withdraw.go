package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/lock"
)

// Withdrawal is what Withdraw took out of current.json.
type Withdrawal struct {
	ID       string                       `json:"id"` // of its record
	ImageRef string                       `json:"image_ref"`
	Fleet    *engine.HotUpgrade           `json:"hot_upgrade"`
	Machines map[string]engine.HotUpgrade `json:"machine_upgrades,omitempty"`
}

// Withdraw clears the upgrades in current.json, so that machines run their image's own code from their next start on: the
// way out of an upgrade that crashes at boot. Machines that run are not touched. It holds the deploy lock while it writes.
func Withdraw(ctx context.Context, s engine.Settings, storage engine.Storage) (w Withdrawal, err error) {
	started := time.Now()
	w.ID = storage.NewID()
	err = lock.With(ctx, storage.Locks, s.Owner, w.ID, s.LockTimeout, func(ctx context.Context) error {
		md, etag, err := Withdrawable(ctx, storage.Records)
		if err != nil {
			return err
		}
		w.ImageRef, w.Fleet, w.Machines = md.ImageRef, md.HotUpgrade, md.MachineUpgrades
		md.HotUpgrade, md.MachineUpgrades = nil, nil
		if err := storage.Records.WriteMetadata(ctx, md, etag); err != nil {
			return fmt.Errorf("write current.json: %w", err)
		}
		if err := w.record(ctx, s, storage.Records, started); err != nil {
			return engine.NewProblem("record", "the upgrades are withdrawn, but the record of it could not be written", err,
				"Nothing more has to be done: `flydeploy history` does not show it.")
		}
		return nil
	})
	return w, err
}

// Withdrawable gives current.json and its ETag, if it names an upgrade that can be withdrawn; else the problem
// "nothing_to_withdraw".
func Withdrawable(ctx context.Context, records engine.Records) (engine.Metadata, string, error) {
	md, etag, err := records.Metadata(ctx)
	switch {
	case errors.Is(err, engine.ErrNotFound), err == nil && md.HotUpgrade == nil && len(md.MachineUpgrades) == 0:
		return md, etag, engine.NewProblem("nothing_to_withdraw", "current.json names no upgrade: machines run their image at their next start", nil,
			"If they do not, look at `flydeploy status`.")
	case err != nil:
		return md, etag, fmt.Errorf("read current.json: %w", err)
	}
	return md, etag, nil
}

// record tells the history who withdrew what.
func (w Withdrawal) record(ctx context.Context, s engine.Settings, records engine.Records, started time.Time) error {
	past := engine.Past{
		ID: w.ID, At: started.UTC().Truncate(time.Millisecond), Outcome: engine.OutcomeWithdrawn, Owner: s.Owner, Host: s.Host, Message: s.Message,
		GitRevision: s.GitRevision, CILink: s.CILink, Machines: len(w.Machines), DurationMS: time.Since(started).Milliseconds(),
	}
	if w.Fleet != nil {
		past.Version = w.Fleet.Version
	}
	body, err := json.MarshalIndent(struct {
		Record
		Withdrawn Withdrawal `json:"withdrawn"`
	}{Record{V: engine.EventVersion, Past: past}, w}, "", "  ")
	if err != nil {
		return err
	}
	return records.WriteResult(ctx, w.ID, recordFile, append(body, '\n'))
}
