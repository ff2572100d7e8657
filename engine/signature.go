package engine

import "time"

// Signature says who vouches for an upgrade in the bucket, to which anybody with its keys can write: package sign makes and checks it,
// and elixir/lib checks it in the VM.
type Signature struct {
	Key string `json:"key"` // the public key's ID
	// Image is what the upgrade may be loaded over, ImageCode that image's own code ("" if it is not known): see Metadata.
	Image     string `json:"image"`
	ImageCode string `json:"image_code,omitempty"`
	// Machine is the only one that may load it; "" for all.
	Machine string `json:"machine,omitempty"`
	// SignedAtMS is by the bucket's clock, in milliseconds since the Unix epoch. A machine loads nothing older than what it has run.
	SignedAtMS int64  `json:"signed_at_ms"`
	Value      []byte `json:"value"`
}

// SignedAt words the time of a signature, in milliseconds since the Unix epoch.
func SignedAt(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
