package engine

import (
	"context"
	"encoding/json"
	"time"
)

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

// UpgradeOf gives the upgrade that is recorded for a machine; false where it runs its image.
func (md *Metadata) UpgradeOf(m Machine) (HotUpgrade, bool) {
	if !SameImage(md.ImageRef, m.Image) {
		return HotUpgrade{}, false
	}
	if u, ok := md.MachineUpgrades[m.ID]; ok {
		return u, true
	}
	if md.HotUpgrade != nil {
		return *md.HotUpgrade, true
	}
	return HotUpgrade{}, false
}
