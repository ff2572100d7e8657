package record_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
)

// unwritten is a bucket into which no result can be written, and whose lock cannot be released.
type unwritten struct {
	engine.Records
	engine.Locks
	md engine.Metadata
}

var errFull = errors.New("the bucket is full")

func (u *unwritten) Metadata(context.Context) (engine.Metadata, string, error) {
	return u.md, "v1", nil
}

func (u *unwritten) WriteMetadata(_ context.Context, md engine.Metadata, _ string) error {
	u.md = md
	return nil
}

func (u *unwritten) WriteResult(context.Context, string, string, []byte) error { return errFull }

func (u *unwritten) Acquire(context.Context, string, string, time.Duration, string) (engine.Lock, error) {
	return u, nil
}

func (u *unwritten) Renew(context.Context) error   { return nil }
func (u *unwritten) Release(context.Context) error { return errFull }

// Once the upgrades are withdrawn, a later failure is not reported as a failure to withdraw them.
func TestWithdrawTellsWhatIsDoneWhereItsRecordIsNot(t *testing.T) {
	t.Parallel()
	u := &unwritten{md: engine.Metadata{HotUpgrade: &engine.HotUpgrade{Version: "2.0.0"}}}
	w, err := record.Withdraw(t.Context(), engine.Settings{Owner: "test@here", LockTimeout: 5 * time.Minute}, engine.Storage{Locks: u, Records: u}, nil, "my_app", "")
	if w.Fleet == nil || u.md.HotUpgrade != nil {
		t.Fatalf("withdrawn: %+v, current.json: %+v", w, u.md)
	}
	wantNamed(t, err, "record")
	p := engine.AsProblem(err)
	if !errors.Is(err, errFull) || p.What != "the upgrades are withdrawn, but the record of that could not be written: the bucket is full; "+
		"the deploy lock could not be released: the bucket is full" {
		t.Errorf("got %v", p)
	}
}
