package engine

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// ErrConflict says that a conditional write lost: somebody else wrote in between. Read again, then decide.
var ErrConflict = errors.New("the object changed in the meantime")

// ErrNotFound says that an object does not exist in the bucket.
var ErrNotFound = errors.New("no such object")

// ErrLockLost says that the deploy lock is no longer ours: it expired and was taken, or it was overridden.
var ErrLockLost = errors.New("the deploy lock was lost")

// Storage is the bucket of one OTP application.
type Storage struct {
	Locks    Locks
	Records  Records
	Tarballs Tarballs
	// Trials may be nil: only the doctor needs them.
	Trials Trials
	// Place says where the bucket is, Source whose settings opened it where they are not the machine's. For people.
	Place, Source string
	// Now is the bucket's time, as far as its answers have told it; nil takes this computer's. Deploys are ordered by it.
	Now func() time.Time
	// Differs tells what is not as the machines have it, so that a restarted machine would not find the upgrade.
	Differs []string
}

// NewID makes a deploy's id: a ULID of the bucket's time, so that ids have the order in which locks were taken, whatever the
// consoles' clocks say. It asks the bucket for something, since only its answers tell its time; without an answer it is this
// computer's.
func (s Storage) NewID(ctx context.Context) string {
	_, _, _ = s.Records.Metadata(ctx)
	return ulid.MustNew(ulid.Timestamp(s.Clock()), ulid.DefaultEntropy()).String()
}

// Clock is the bucket's time as far as it is known.
func (s Storage) Clock() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Finding is the plan's finding about Differs.
func (s Storage) Finding() (Finding, bool) {
	if len(s.Differs) == 0 {
		return Finding{}, false
	}
	return Finding{
		Name: "storage_differs", Severity: SeverityBlock, What: "the console's storage has " + strings.Join(s.Differs, ", "),
		Remedy: Remedies["storage_differs"],
	}, true
}

// OpenStorage opens the bucket of an OTP application with the settings that its machines use (AWS_ACCESS_KEY_ID and the
// like, secrets that must not be shown). Package s3 stands behind it; the command line may override the settings.
type OpenStorage func(ctx context.Context, otpApp string, env map[string]string) (Storage, error)

// Trials is what the doctor asks of a bucket, beyond what a deploy does with it. Package s3 implements it.
type Trials interface {
	// TryConditions proves with a throw-away object that the storage refuses writes whose condition does not hold.
	TryConditions(ctx context.Context) error
	// Skew is the storage's clock minus ours; 0 below a few seconds.
	Skew(ctx context.Context) (time.Duration, error)
	// LastLock gives the deploy lock that lies there, also an expired one; ErrNotFound for none, or a released one.
	LastLock(ctx context.Context) (LockInfo, error)
}
