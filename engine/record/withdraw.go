package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/lock"
	"flydeploy/engine/sign"
)

// Withdrawal is what Withdraw has taken out of current.json.
type Withdrawal struct {
	ID       string                       `json:"id"` // of the withdrawal's own record
	ImageRef string                       `json:"image_ref"`
	Fleet    *engine.HotUpgrade           `json:"hot_upgrade"`
	Machines map[string]engine.HotUpgrade `json:"machine_upgrades,omitempty"`
}

// Withdraw clears the upgrades in current.json, so that machines run their image's own code from their next start on. It is the way
// out of an upgrade that crashes at boot, and does not touch running machines. It takes the deploy lock. seen is the ETag of the
// current.json that the operator has agreed to clear; "" clears whatever it names. keys sign for the OTP application that it is withdrawn.
func Withdraw(ctx context.Context, s engine.Settings, storage engine.Storage, keys *sign.Ring, otpApp, seen string) (w Withdrawal, err error) {
	started := time.Now()
	w.ID = storage.NewID(ctx)
	err = lock.With(ctx, storage.Locks, s.Owner, w.ID, s.LockTimeout, func(ctx context.Context) error {
		md, etag, err := storage.Records.Metadata(ctx)
		switch {
		case errors.Is(err, engine.ErrNotFound), err == nil && !md.NamesUpgrades():
			return NothingToWithdraw()
		case err != nil:
			return fmt.Errorf("read current.json: %w", err)
		case seen != "" && seen != etag:
			return engine.NewProblem("metadata_changed", "current.json has changed meanwhile: nothing was withdrawn", nil,
				"`flydeploy history` shows who deployed what. Run the command again to withdraw that.")
		}
		w.ImageRef, w.Fleet, w.Machines = md.ImageRef, md.HotUpgrade, md.MachineUpgrades
		md.HotUpgrade, md.MachineUpgrades = nil, nil
		keys.OwnCode(sign.App{Fly: s.App, OTP: otpApp}, &md, storage.Clock())
		if err := storage.Records.WriteMetadata(ctx, md, etag); err != nil {
			return fmt.Errorf("write current.json: %w", err)
		}
		if err := w.record(ctx, s, storage.Records, started); err != nil {
			return engine.NewProblem("record", "the upgrades are withdrawn, but the record of that could not be written", err,
				"Nothing more has to be done, although `flydeploy history` does not show it.")
		}
		return nil
	})
	return w, err
}

// NothingToWithdraw gives the problem that no upgrade is recorded.
func NothingToWithdraw() *engine.Problem {
	return engine.NewProblem("nothing_to_withdraw", "current.json names no upgrade: machines run their image at their next start", nil,
		"If a machine does not, look at `flydeploy status`.")
}

// record writes a record for the history: who has withdrawn what.
func (w Withdrawal) record(ctx context.Context, s engine.Settings, records engine.Results, started time.Time) error {
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
