// Package sign signs what is put into the bucket and checks what comes from there, where somebody has made a key for that. Whoever can
// write to the bucket could put code onto every machine at its next start otherwise.
package sign

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"flydeploy/engine"
)

// What the texts of keys begin with.
const (
	publicPrefix  = "flydeploy-public:"
	signingPrefix = "flydeploy-signing-key:"
)

var encoding = base64.RawURLEncoding

// PublicKey checks signatures.
type PublicKey struct{ key ed25519.PublicKey }

// ParsePublicKey reads what String gives.
func ParsePublicKey(text string) (PublicKey, error) {
	rest, found := strings.CutPrefix(strings.TrimSpace(text), publicPrefix)
	key, err := encoding.DecodeString(rest)
	if !found || err != nil || len(key) != ed25519.PublicKeySize {
		return PublicKey{}, engine.NewProblem("bad_public_key", "a public key is what `flydeploy keygen` prints: "+publicPrefix+"…", nil,
			"Correct public_keys in flydeploy.toml.")
	}
	return PublicKey{key}, nil
}

// String gives the key as text, for `config :fly_deploy, public_key:` and flydeploy.toml.
func (k PublicKey) String() string { return publicPrefix + encoding.EncodeToString(k.key) }

// ID tells keys apart: the first 16 hex digits of the key's sha256.
func (k PublicKey) ID() string {
	sum := sha256.Sum256(k.key)
	return hex.EncodeToString(sum[:])[:16]
}

// Key signs. It is a secret: only Secret shows it.
type Key struct{ private ed25519.PrivateKey }

// Generate makes a key.
func Generate() (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return Key{private}, err
}

// ParseKey reads what Secret gives. Its error does not repeat the text.
func ParseKey(text string) (Key, error) {
	rest, found := strings.CutPrefix(strings.TrimSpace(text), signingPrefix)
	seed, err := encoding.DecodeString(rest)
	if !found || err != nil || len(seed) != ed25519.SeedSize {
		return Key{}, engine.NewProblem("bad_signing_key", "it holds no signing key ("+signingPrefix+"…)", nil, "Give the file that `flydeploy keygen` has written, or its text.")
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// Secret gives the key as text, to be kept.
func (k Key) Secret() string { return signingPrefix + encoding.EncodeToString(k.private.Seed()) }

// Public gives the key that checks its signatures.
func (k Key) Public() PublicKey { return PublicKey{k.private.Public().(ed25519.PublicKey)} }

// String names the key, and does not show it.
func (k Key) String() string { return "signing key " + k.Public().ID() }

// GoString implements fmt.GoStringer, so that %#v does not show it either.
func (k Key) GoString() string { return k.String() }

// MarshalText keeps it out of JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
