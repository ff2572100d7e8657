package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrConflict says that a conditional write lost: somebody else wrote in between. Read again, then decide.
var ErrConflict = errors.New("the object changed in the meantime")

// ErrNotFound says that an object does not exist in the bucket.
var ErrNotFound = errors.New("no such object")

// ErrLockLost says that the deploy lock is no longer ours: it expired and was taken, or it was overridden.
var ErrLockLost = errors.New("the deploy lock was lost")

// LockInfo is the body of releases/<app>-deploy.lock.
type LockInfo struct {
	LockedBy     string    `json:"locked_by"`
	Host         string    `json:"host,omitempty"`
	LockedAt     time.Time `json:"locked_at"`
	ExpiresAt    time.Time `json:"expires_at"`
	DeploymentID string    `json:"deployment_id"` // the upgrade id
	// OwnTimeMS is how long the lock lives after it was written last, milliseconds.
	OwnTimeMS int64 `json:"own_time_ms,omitempty"`
	Released  bool  `json:"released,omitempty"`
	// ETag is the object's version, by which an override names exactly the lock that was shown.
	ETag string `json:"-"`
	// Age is the time since it was written last, by the bucket's clock or as we have watched it, whichever is longer.
	Age time.Duration `json:"-"`
}

// usualOwnTime is that of a lock that does not tell: fly_deploy's default.
const usualOwnTime = 5 * time.Minute

// OwnTime is how long the lock lives after it was written last. Its times are those of its owner's clock, which may be
// hours off: only their difference counts.
func (l *LockInfo) OwnTime() time.Duration {
	if l.OwnTimeMS > 0 {
		return time.Duration(l.OwnTimeMS) * time.Millisecond
	}
	if own := l.ExpiresAt.Sub(l.LockedAt); own > 0 {
		return own
	}
	return usualOwnTime
}

// ExpiresIn is the time until the lock expires, unless its owner renews it.
func (l *LockInfo) ExpiresIn() time.Duration { return max(l.OwnTime()-l.Age, 0) }

// Here gives the lock with the end that it has by this computer's clock, to be shown.
func (l LockInfo) Here() LockInfo {
	l.OwnTimeMS = l.OwnTime().Milliseconds()
	l.ExpiresAt = time.Now().Add(l.ExpiresIn()).UTC().Truncate(time.Second)
	return l
}

// owner names who holds the lock, and where.
func (l *LockInfo) owner() string {
	if l.Host != "" && !strings.HasSuffix(l.LockedBy, "@"+l.Host) {
		return l.LockedBy + " on " + l.Host
	}
	return l.LockedBy
}

// LockHeld is the lock of somebody else, as an event shows it.
type LockHeld struct {
	LockInfo
	ETag        string `json:"etag"`
	ExpiresInMS int64  `json:"expires_in_ms"` // unless its owner renews it
}

// LockHeldError is what Acquire answers when somebody else holds the lock.
type LockHeldError struct{ Held LockInfo }

func (e *LockHeldError) Error() string {
	if e.Held.DeploymentID == "" {
		return "the deploy lock is held by " + e.Held.LockedBy
	}
	return fmt.Sprintf("the deploy lock is held by %s since %s (deploy %s); it expires in %s unless it is renewed", e.Held.owner(),
		e.Held.LockedAt.Format(time.RFC3339), e.Held.DeploymentID, e.Held.ExpiresIn().Round(time.Second))
}

// Lock is a lock that we hold. Package s3 implements it by conditional writes.
type Lock interface {
	// Renew moves the expiry to now plus the lock's time. ErrLockLost when it is no longer ours.
	Renew(ctx context.Context) error
	// Release frees the lock if it is still ours; another's is left alone.
	Release(ctx context.Context) error
}

// Locks acquires and shows the deploy lock of one app.
type Locks interface {
	// Acquire takes the lock, or answers *LockHeldError. override is the ETag of the lock that may be replaced, or "".
	Acquire(ctx context.Context, owner, deploymentID string, ttl time.Duration, override string) (Lock, error)
	// Current gives the lock that is held now; ErrNotFound when nobody holds one.
	Current(ctx context.Context) (LockInfo, error)
	// Break frees exactly the version etag of somebody's lock; by goes into the object. *LockHeldError when it is another
	// version by now, ErrNotFound when nobody holds one.
	Break(ctx context.Context, etag, by string) error
}

// HotUpgrade is one upgrade as current.json tells it; the first four fields are fly_deploy's.
type HotUpgrade struct {
	Version        string    `json:"version"`
	SourceImageRef string    `json:"source_image_ref"`
	TarballURL     string    `json:"tarball_url"` // bare path-style URL, never presigned
	DeployedAt     time.Time `json:"deployed_at"`
	SHA256         string    `json:"sha256"`
	Size           int64     `json:"size"` // bytes
	ID             string    `json:"id"`   // the upgrade id
	// Fingerprint is over the md5s of the code that verified machines have loaded: see agent.Code. "" where it is not known.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Metadata is releases/<app>-current.json. Unknown fields that others wrote are kept in Extra.
type Metadata struct {
	ImageRef        string                     `json:"image_ref"`
	HotUpgrade      *HotUpgrade                `json:"hot_upgrade"`
	MachineUpgrades map[string]HotUpgrade      `json:"machine_upgrades,omitempty"`
	Extra           map[string]json.RawMessage `json:"-"`
}

// NamesUpgrades reports whether any machine would load a hot upgrade at its next start.
func (m Metadata) NamesUpgrades() bool { return m.HotUpgrade != nil || len(m.MachineUpgrades) > 0 }

// Document is an object of the record.
type Document struct {
	Body []byte
	Age  time.Duration // since it was written, by the bucket's clock
}

// Records reads and writes current.json and the results.
type Records interface {
	// Metadata gives current.json and its ETag. Absent: ErrNotFound and ETag "".
	Metadata(ctx context.Context) (Metadata, string, error)
	// WriteMetadata replaces the version etag ("" creates). ErrConflict when somebody else wrote in between.
	WriteMetadata(ctx context.Context, m Metadata, etag string) error
	// WriteResult stores one file below releases/<app>-results/<upgrade id>/.
	WriteResult(ctx context.Context, upgradeID, name string, body []byte) error
	// PresignResult gives a URL to which somebody else PUTs such a file, without any header; and the file's key.
	PresignResult(ctx context.Context, upgradeID, name string, valid time.Duration) (url, key string, err error)
	// Result reads such a file; ErrNotFound where there is none.
	Result(ctx context.Context, upgradeID, name string) (Document, error)
	// Upgrades lists the ids below releases/<app>-results/, the newest first.
	Upgrades(ctx context.Context) ([]string, error)
	// DeleteUpgrade removes all files of one id.
	DeleteUpgrade(ctx context.Context, upgradeID string) error
}

// Object is what a HEAD tells of a tarball.
type Object struct {
	Key  string
	Size int64 // bytes
	// SHA256 is the hex digest that the uploader pinned in the object's metadata, "" where it did not.
	SHA256 string
}

// Tarballs hands out URLs for the bytes that machines exchange through the bucket.
type Tarballs interface {
	// PresignPut gives a URL for one upload of exactly size bytes; sha256 (hex) is pinned with the object. The
	// headers must be sent with the PUT. An existing object is never replaced (412).
	PresignPut(ctx context.Context, key string, size int64, sha256 string, valid time.Duration) (url string, headers map[string]string, err error)
	PresignGet(ctx context.Context, key string, valid time.Duration) (string, error)
	Stat(ctx context.Context, key string) (Object, error) // ErrNotFound
	Delete(ctx context.Context, key string) error
	// URL is the bare path-style URL that current.json records.
	URL(key string) string
}
