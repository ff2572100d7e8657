package engine

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// ErrConflict says that a conditional write failed because somebody else wrote in between. Read again, then decide.
var ErrConflict = errors.New("the object changed in the meantime")

// ErrNotFound says that an object does not exist in the bucket.
var ErrNotFound = errors.New("no such object")

// ErrLockLost says that the deploy lock is no longer ours: it may have expired, or was overridden.
var ErrLockLost = errors.New("the deploy lock was lost")

// Storage is the bucket of one OTP application.
type Storage struct {
	Locks    Locks
	Records  Records
	Tarballs Tarballs
	// Trials is for the doctor only, and may be nil.
	Trials Trials
	// Place says where the bucket is, and Source whose settings opened it if they are not a machine's. Both are for people.
	Place, Source string
	// Now gives the bucket's time, as its answers have shown it; if nil, this computer's clock is used. It orders deploys.
	Now func() time.Time
	// Differs lists the settings that are not those of the machines, so that a restarted machine may not find the upgrade.
	Differs []string
}

// NewID makes the ID of a deploy: a ULID of the bucket's time, so that IDs are in the order in which locks were taken, whatever
// the clocks of the consoles say. It asks the bucket for something first, since only an answer shows its time.
func (s Storage) NewID(ctx context.Context) string {
	_, _, _ = s.Records.Metadata(ctx)
	return ulid.MustNew(ulid.Timestamp(s.Clock()), ulid.DefaultEntropy()).String()
}

// Clock gives the bucket's time as far as it is known, or else this computer's.
func (s Storage) Clock() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// SettingsFinding gives the plan's finding about Differs; false if it is empty.
func (s Storage) SettingsFinding() (Finding, bool) {
	if len(s.Differs) == 0 {
		return Finding{}, false
	}
	return Finding{
		Name: "storage_differs", Severity: SeverityBlock, What: "the console's storage has " + strings.Join(s.Differs, ", "),
		Remedy: Remedies["storage_differs"],
	}, true
}

// OpenStorage opens the bucket of an OTP application with the settings that its machines use (AWS_ACCESS_KEY_ID and the
// like: secrets that must not be shown). Package s3 implements it; the command line may override the settings.
type OpenStorage func(ctx context.Context, otpApp string, env map[string]string) (Storage, error)

// Trials are the checks of a bucket that only the doctor makes. Package s3 implements it.
type Trials interface {
	// TryConditions proves with a throw-away object that the storage refuses a write whose condition does not hold.
	TryConditions(ctx context.Context) error
	// Skew gives the storage's clock minus ours; 0 if they differ by a few seconds only.
	Skew(ctx context.Context) (time.Duration, error)
	// LastLock gives the deploy lock, even if it has expired; ErrNotFound if there is none, or if it was released.
	LastLock(ctx context.Context) (LockInfo, error)
}
