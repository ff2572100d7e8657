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

// Ordered is what a deploy was asked for, by which one goes that resumes it.
type Ordered struct {
	Select   engine.Selection
	Strategy engine.Strategy
	Resumes  []string // IDs of the deploys with which it goes on
}

// Upgrade gives the entry of current.json signed, or as it is if nothing is signed.
func (r *Ring) Upgrade(app App, u engine.HotUpgrade, over Over, now time.Time) engine.HotUpgrade {
	if r.SignsWith() != "" {
		s := engine.Signature{Image: over.Image, ImageCode: over.ImageCode, Machine: over.Machine}
		u.Signature = r.signed(s, now, func(s engine.Signature) []byte { return message(app, s, u) })
	}
	return u
}

// Deploy gives the upgrade of a deploy's record signed, or as it is if nothing is signed.
func (r *Ring) Deploy(u engine.Upgrade, o Ordered, now time.Time) engine.Upgrade {
	if r.SignsWith() != "" {
		s := engine.Signature{Image: u.BaseImage}
		u.Signature = r.signed(s, now, func(s engine.Signature) []byte { return deployMessage(appOf(u), s, entryOf(u), o) })
	}
	return u
}

// OwnCode signs it, if anything is signed, that machines for which current.json names no upgrade run their image's own code. For a machine
// that has read it, what was signed before is over, so that nobody brings it back by writing an earlier current.json.
func (r *Ring) OwnCode(app App, md *engine.Metadata, now time.Time) {
	switch {
	case md.HotUpgrade != nil: // it is for all machines that have none of their own
		md.OwnCode = nil
	case r.SignsWith() != "":
		md.OwnCode = r.signed(engine.Signature{}, now, func(s engine.Signature) []byte { return ownCodeMessage(app, s) })
	}
}

func (r *Ring) signed(s engine.Signature, now time.Time, message func(engine.Signature) []byte) *engine.Signature {
	s.Key, s.SignedAtMS = r.SignsWith(), now.UnixMilli()
	s.Value = ed25519.Sign(r.own.private, message(s))
	return &s
}

// CheckUpgrade fails if somebody else has written the entry of current.json that names an upgrade for a machine, or for all ("").
func (r *Ring) CheckUpgrade(app App, u engine.HotUpgrade, image, machine string) error {
	if !r.Demands() {
		return nil
	}
	const what = "the upgrade in current.json"
	s, err := r.check(what, u.Signature, func(s engine.Signature) []byte { return message(app, s, u) })
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

// CheckOwnCode fails if somebody else may have taken the upgrades out of current.json.
func (r *Ring) CheckOwnCode(app App, md engine.Metadata) error {
	if !r.Demands() {
		return nil
	}
	_, err := r.check("that current.json names no upgrade", md.OwnCode, func(s engine.Signature) []byte { return ownCodeMessage(app, s) })
	return err
}

// CheckDeploy fails if somebody else has written the record of the deploy id, or altered which machines it was for, or how.
func (r *Ring) CheckDeploy(app App, id string, u engine.Upgrade, o Ordered) error {
	if !r.Demands() {
		return nil
	}
	what := "the record of deploy " + id
	s, err := r.check(what, u.Signature, func(s engine.Signature) []byte { return deployMessage(app, s, entryOf(u), o) })
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

func (r *Ring) check(what string, s *engine.Signature, message func(engine.Signature) []byte) (*engine.Signature, error) {
	if s == nil {
		return nil, refusal(what, "is not signed")
	}
	i := slices.IndexFunc(r.trusted, func(k PublicKey) bool { return k.ID() == s.Key })
	switch {
	case i < 0:
		return nil, refusal(what, "is signed with a key that is not trusted here")
	case !ed25519.Verify(r.trusted[i].key, message(*s), s.Value):
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
		GitRevision: u.GitRevision, ReleaseCommand: u.ReleaseCommand, ApplyConfig: u.ApplyConfig, ApplyChildren: u.ApplyChildren, Agent: u.Agent,
	}
}
