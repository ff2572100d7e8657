package sign

import (
	"crypto/ed25519"
	"slices"
	"time"

	"flydeploy/engine"
)

// Ring holds the key that a console signs with, and those that it trusts, its own among them. A nil Ring signs nothing and demands
// nothing.
type Ring struct {
	own     *Key
	trusted []PublicKey
}

// NewRing gives a ring; nil if there is no key at all.
func NewRing(own *Key, trusted []PublicKey) *Ring {
	if own == nil && len(trusted) == 0 {
		return nil
	}
	if own != nil {
		trusted = append([]PublicKey{own.Public()}, trusted...)
	}
	return &Ring{own, trusted}
}

// SignsWith gives the ID of the key that signs, "" if nothing is signed.
func (r *Ring) SignsWith() string {
	if r == nil || r.own == nil {
		return ""
	}
	return r.own.Public().ID()
}

// Demands reports whether what the bucket holds is used only if a trusted key has signed it.
func (r *Ring) Demands() bool { return r != nil }

// Over is what an upgrade is loaded over: which image with which code, and on which machine, "" for all.
type Over struct{ Image, ImageCode, Machine string }

// Upgrade gives the entry of current.json signed, or as it is if nothing is signed.
func (r *Ring) Upgrade(app App, u engine.HotUpgrade, over Over, now time.Time) engine.HotUpgrade {
	if r.SignsWith() == "" {
		return u
	}
	u.Signature = r.signed(forUpgrade, app, u, over, now)
	return u
}

// Deploy gives the upgrade of a deploy's record signed, or as it is if nothing is signed.
func (r *Ring) Deploy(u engine.Upgrade, now time.Time) engine.Upgrade {
	if r.SignsWith() == "" {
		return u
	}
	u.Signature = r.signed(forDeploy, appOf(u), entryOf(u), Over{Image: u.BaseImage}, now)
	return u
}

func (r *Ring) signed(purpose string, app App, u engine.HotUpgrade, over Over, now time.Time) *engine.Signature {
	s := engine.Signature{Key: r.SignsWith(), Image: over.Image, ImageCode: over.ImageCode, Machine: over.Machine, SignedAtMS: now.UnixMilli()}
	s.Value = ed25519.Sign(r.own.private, message(purpose, app, s, u))
	return &s
}

// CheckUpgrade fails if somebody else has written the entry of current.json that names an upgrade for a machine, or for all ("").
func (r *Ring) CheckUpgrade(app App, u engine.HotUpgrade, image, machine string) error {
	if !r.Demands() {
		return nil
	}
	const what = "the upgrade in current.json"
	s, err := r.check(what, forUpgrade, app, u, u.Signature)
	switch {
	case err != nil:
		return err
	case !engine.SameImage(s.Image, image):
		return refusal(what, "is signed for another image")
	case s.Machine != "" && s.Machine != machine:
		return refusal(what, "is signed for another machine")
	}
	return nil
}

// CheckRecord gives what is wrong with the entries of current.json, by their machines, "" being the fleet's.
func (r *Ring) CheckRecord(app App, md engine.Metadata) map[string]error {
	wrong := map[string]error{}
	check := func(u engine.HotUpgrade, machine string) {
		if err := r.CheckUpgrade(app, u, md.FullImage(), machine); err != nil {
			wrong[machine] = err
		}
	}
	if md.HotUpgrade != nil {
		check(*md.HotUpgrade, "")
	}
	for id, u := range md.MachineUpgrades {
		check(u, id)
	}
	return wrong
}

// CheckDeploy fails if somebody else has written the record of the deploy id.
func (r *Ring) CheckDeploy(app App, id string, u engine.Upgrade) error {
	if !r.Demands() {
		return nil
	}
	what := "the record of deploy " + id
	s, err := r.check(what, forDeploy, app, entryOf(u), u.Signature)
	switch {
	case err != nil:
		return err
	case u.ID != id:
		return refusal(what, "is the one of another deploy")
	case s.Image != u.BaseImage:
		return refusal(what, "is signed for another image")
	}
	return nil
}

func (r *Ring) check(what, purpose string, app App, u engine.HotUpgrade, s *engine.Signature) (*engine.Signature, error) {
	if s == nil {
		return nil, refusal(what, "is not signed")
	}
	i := slices.IndexFunc(r.trusted, func(k PublicKey) bool { return k.ID() == s.Key })
	switch {
	case i < 0:
		return nil, refusal(what, "is signed with a key that is not trusted here")
	case !ed25519.Verify(r.trusted[i].key, message(purpose, app, *s, u), s.Value):
		return nil, refusal(what, "is not what was signed, or belongs to another app")
	}
	return s, nil
}

func refusal(what, why string) error {
	return engine.NewProblem("wrong_signature", what+" "+why, nil, engine.Remedies["wrong_signature"])
}

func appOf(u engine.Upgrade) App { return App{Fly: u.App, OTP: u.OTPApp} }

// entryOf gives what of a deploy's upgrade leads to code: it is what an entry of current.json has as well.
func entryOf(u engine.Upgrade) engine.HotUpgrade {
	return engine.HotUpgrade{
		Version: u.Version, SourceImageRef: u.SourceImage, TarballURL: u.TarballURL, SHA256: u.SHA256, Size: u.Size, ID: u.ID,
		GitRevision: u.GitRevision, ReleaseCommand: u.ReleaseCommand, Agent: u.Agent,
	}
}
