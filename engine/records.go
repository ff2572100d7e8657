package engine

import (
	"context"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"time"
)

// HotUpgrade is one upgrade in current.json; the first four fields are fly_deploy's.
type HotUpgrade struct {
	Version        string    `json:"version"`
	SourceImageRef string    `json:"source_image_ref"`
	TarballURL     string    `json:"tarball_url"` // bare path-style URL, never presigned
	DeployedAt     time.Time `json:"deployed_at"`
	SHA256         string    `json:"sha256"`
	Size           int64     `json:"size"` // bytes
	ID             string    `json:"id"`   // of the upgrade
	// Fingerprint is a hash over the md5s of the code that verified machines have loaded (see agent.Code); "" if unknown.
	Fingerprint string `json:"fingerprint,omitempty"`
	// GitRevision is that of the source; "" if unknown.
	GitRevision string `json:"git_revision,omitempty"`
	// ReleaseCommand is that of the fly.toml which it was deployed with; "" for none, or in older records.
	ReleaseCommand string `json:"release_command,omitempty"`
	// ApplyConfig: its configuration is applied as well, also at a restart.
	ApplyConfig bool `json:"apply_config,omitempty"`
	// ApplyChildren: its children are started and ended as well, also at a restart.
	ApplyChildren ApplyChildren `json:"apply_children,omitempty"`
	// Agent is what the upgrade was committed with; zero in records of an older flydeploy.
	Agent CompiledAgent `json:"agent,omitzero"`
	// Signature is nil where nobody signs.
	Signature *Signature `json:"signature,omitempty"`
	// ByName: the startup hook of the machine that it is for can read it by its name, see EncodeMetadata.
	ByName bool `json:"-"`
}

// CompiledAgent says where the agent lies that a machine with the new image has compiled: beside the tarball, under a name that its
// sha256 is part of, as releases/<app>-agent-<12 hex digits>.beams. elixir/orchestrator/compiled.ex describes the file.
type CompiledAgent struct {
	URL    string `json:"url"`    // bare path-style URL, never presigned
	SHA256 string `json:"sha256"` // of the file, hex
	Size   int64  `json:"size"`   // bytes
	Source string `json:"source"` // first 12 hex digits of its source's sha256
	// OTP and Elixir have compiled it, and it is loaded by the same ones only, e.g. "27" and "1.18.3".
	OTP    string `json:"otp"`
	Elixir string `json:"elixir"`
}

var lowerHex = regexp.MustCompile(`^[0-9a-f]*$`)

// Valid reports whether a file can have its sha256 and size.
func (a CompiledAgent) Valid() bool { return IsSHA256(a.SHA256) && a.Size > 0 }

// IsSHA256 reports whether text is a sha256 in lower-case hex.
func IsSHA256(text string) bool { return len(text) == 64 && lowerHex.MatchString(text) }

// Agents keeps compiled agents from one deploy to the next, on the operator's computer: what the bucket holds is only believed
// where it has a sha256 that somebody else has told.
type Agents interface {
	// Known gives the agent that an OTP and an Elixir have compiled from a source, without its URL, and its file.
	Known(source, otp, elixir string) (a CompiledAgent, file []byte, ok bool)
	// Keep keeps an agent's file, which has the size and the sha256 that a says.
	Keep(a CompiledAgent, file []byte) error
}

// Metadata is releases/<app>-current.json. Extra keeps unknown fields that others have written.
type Metadata struct {
	ImageRef string `json:"image_ref"` // HOST/APP:TAG
	// Image is ImageRef with the image's digest; "" if nobody has written it. Who does not know the field may leave it as it was
	// for an earlier ImageRef: read it with FullImage.
	Image           string                `json:"image,omitempty"`
	ImageCode       *ImageCode            `json:"image_code,omitempty"`
	HotUpgrade      *HotUpgrade           `json:"hot_upgrade"`
	MachineUpgrades map[string]HotUpgrade `json:"machine_upgrades,omitempty"`
	// OwnCode vouches for it that machines for which no upgrade is named run their image's own code; nil where nobody signs.
	OwnCode *Signature                 `json:"own_code,omitempty"`
	Extra   map[string]json.RawMessage `json:"-"`
}

// ImageCode is the code of an image: a tag can be moved to another image, and a VM does not know its own image's digest.
type ImageCode struct {
	ImageRef    string `json:"image_ref"`   // whose code it is: who does not know the field leaves it as it was for an earlier image
	Fingerprint string `json:"fingerprint"` // as a VM had it when it booted, before any upgrade
}

// FullImage gives the image that the upgrades are for, with its digest if that is known.
func (m Metadata) FullImage() string {
	if WithoutDigest(m.Image) == WithoutDigest(m.ImageRef) && m.Image != "" {
		return m.Image
	}
	return m.ImageRef
}

// SetImage says which image the upgrades are for. A digest that is known stays if ref has none.
func (m *Metadata) SetImage(ref string) {
	if WithoutDigest(ref) == ref && SameImage(m.FullImage(), ref) {
		return
	}
	m.ImageRef, m.Image, m.ImageCode = WithoutDigest(ref), "", nil
	if m.ImageRef != ref {
		m.Image = ref
	}
}

// SetImageCode says which code the image has, "" if that is not known.
func (m *Metadata) SetImageCode(fingerprint string) {
	if fingerprint != "" {
		m.ImageCode = &ImageCode{ImageRef: m.ImageRef, Fingerprint: fingerprint}
	}
}

// NamesUpgrades reports whether a hot upgrade is recorded for the fleet or for any machine.
func (m Metadata) NamesUpgrades() bool { return m.HotUpgrade != nil || len(m.MachineUpgrades) > 0 }

// Document is one object of the record.
type Document struct {
	Body []byte
	Age  time.Duration // since it was written, by the bucket's clock
	// Address is the object's URL, for people: nothing in it is secret, and only who has the bucket's keys can read it.
	Address string
}

// Records is what is recorded in the bucket: what machines run, and what deploys have done.
type Records interface {
	Current
	Results
}

// Current reads and writes current.json.
type Current interface {
	// Metadata gives current.json and its ETag; ErrNotFound and the ETag "" if there is none.
	Metadata(ctx context.Context) (Metadata, string, error)
	// WriteMetadata replaces the version etag, or creates current.json if etag is ""; ErrConflict if somebody else wrote in
	// between.
	WriteMetadata(ctx context.Context, m Metadata, etag string) error
}

// Results reads and writes the results of deploys: files below releases/<app>-results/<upgrade id>/.
type Results interface {
	// WriteResult stores one file below releases/<app>-results/<upgrade id>/.
	WriteResult(ctx context.Context, upgradeID, name string, body []byte) error
	// PresignResult gives a URL to which a machine can PUT such a file, without any header, and the file's key.
	PresignResult(ctx context.Context, upgradeID, name string, valid time.Duration) (url, key string, err error)
	// Result reads such a file; ErrNotFound if there is none.
	Result(ctx context.Context, upgradeID, name string) (Document, error)
	// Results lists the names of such files, those that begin with prefix.
	Results(ctx context.Context, upgradeID, prefix string) ([]string, error)
	// Upgrades lists the IDs below releases/<app>-results/, newest first.
	Upgrades(ctx context.Context) ([]string, error)
	// DeleteUpgrade removes all files of one upgrade.
	DeleteUpgrade(ctx context.Context, upgradeID string) error
}

// Object is what a HEAD request says about a tarball.
type Object struct {
	Key  string
	Size int64 // bytes
	// SHA256 is the hex digest that the uploader stored in the object's metadata; "" if it did not.
	SHA256 string
}

// Tarballs is about the tarballs and compiled agents in the bucket.
type Tarballs interface {
	Presigned
	Files
}

// Presigned hands out the URLs by which machines upload them to the bucket and download them from it.
type Presigned interface {
	// PresignPut gives a URL for one upload of exactly size bytes, and the headers that the PUT must send. sha256 (hex) is
	// stored with the object. An existing object is never replaced: the answer is 412.
	PresignPut(ctx context.Context, key string, size int64, sha256 string, valid time.Duration) (url string, headers map[string]string, err error)
	// PresignGet gives a URL for downloads.
	PresignGet(ctx context.Context, key string, valid time.Duration) (string, error)
	// URL gives the bare path-style URL that current.json records.
	URL(key string) string
}

// Files reads and writes them from here.
type Files interface {
	// Put uploads a whole file from here as PresignPut's URL would, without having all of it in memory; ErrConflict if there is one already.
	// progress, unless nil, is told the bytes that were sent and their total; where it is sent again, that begins anew.
	Put(ctx context.Context, key string, file io.ReadSeeker, sha256 string, progress func(done, total int64)) error
	// Get downloads a file of at most limit bytes; ErrNotFound if there is none.
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	// Stat looks at a tarball; ErrNotFound if there is none.
	Stat(ctx context.Context, key string) (Object, error)
	// Delete removes a tarball.
	Delete(ctx context.Context, key string) error
}

// AppliesConfig reports whether the record names an upgrade for any of these machines whose configuration is applied.
func (md *Metadata) AppliesConfig(machines []Machine) bool {
	return slices.ContainsFunc(machines, func(m Machine) bool { u, ok := md.UpgradeOf(m); return ok && u.ApplyConfig })
}

// AppliesChildren reports the same of the children of supervisors.
func (md *Metadata) AppliesChildren(machines []Machine) bool {
	return slices.ContainsFunc(machines, func(m Machine) bool {
		u, ok := md.UpgradeOf(m)
		return ok && u.ApplyChildren != ApplyNoChildren
	})
}

// UpgradeOf gives the upgrade that is recorded for a machine; false if there is none for its image.
func (md *Metadata) UpgradeOf(m Machine) (HotUpgrade, bool) {
	if !SameImage(md.FullImage(), m.FullImage()) {
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
