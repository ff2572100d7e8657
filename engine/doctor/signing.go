package doctor

import (
	"maps"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/sign"
)

// signing compares the keys that a machine's package trusts with the one that this console signs with.
func (d *doctor) signing(m engine.Machine, h agent.Hook) {
	own, theirs := d.Keys.SignsWith(), strings.Join(h.PublicKeys, ", ")
	c := engine.Check{Name: "signing", Status: engine.CheckWarn}
	switch {
	case h.State == agent.HookAbsent:
		return
	case h.WrongKeys != "":
		c.Text, c.Remedy = "after a restart it loads no upgrade: "+h.WrongKeys, engine.Remedies["not_signed"]
	case theirs == "" && own == "":
		c.Status = engine.CheckOK
		c.Text = "no: whoever can write to the bucket can put code onto the machine at its next start (see `flydeploy keygen --help`)"
	case theirs == "":
		c.Text = "this console signs with key " + own + ", and the machine loads what nobody has signed as well"
		c.Remedy = "Give the package the public key (`config :fly_deploy, public_key:`), and deploy cold once: `fly deploy`."
	case own == "":
		c.Text, c.Remedy = "it loads only what is signed with key "+theirs+", and this console signs nothing", engine.Remedies["not_signed"]
	case !slices.Contains(h.PublicKeys, own):
		c.Text, c.Remedy = "it loads only what is signed with key "+theirs+", and this console signs with "+own, engine.Remedies["not_signed"]
	default:
		c.Status, c.Text = engine.CheckOK, "it loads only what is signed with key "+theirs+keptIn(h.StateDir)
	}
	d.on(m, c)
}

// keptIn says what becomes of what a machine knows about the newest upgrade that it has run.
func keptIn(stateDir string) string {
	if stateDir == "" {
		return "; when its newest upgrade was signed is forgotten at a restart, so that whoever can write to the bucket can lead it back to an earlier signed one:" +
			" `config :fly_deploy, state_dir:` names a folder on a volume that keeps it"
	}
	return ", and nothing older than what it has run, which it keeps in " + stateDir
}

// recorded checks the signatures in current.json, as far as this console knows keys.
func (d *doctor) recorded(otpApp string, md engine.Metadata) {
	app := sign.App{Fly: d.Fly, OTP: otpApp}
	switch {
	case !d.Keys.Demands(), md.ImageRef == "": // there is none
		return
	case !md.NamesUpgrades():
		d.recordedNone(d.Keys.CheckOwnCode(app, md))
		return
	}
	wrong := d.Keys.CheckRecord(app, md)
	for _, id := range slices.Sorted(maps.Keys(wrong)) {
		c := engine.FailedCheck("record", wrong[id])
		c.Status, c.Machine = engine.CheckWarn, id
		d.report(c)
	}
	older := d.olderThanWhatRan(md)
	if len(wrong)+older == 0 {
		d.ok("record", "signed with a key that is trusted here")
	}
}

// olderThanWhatRan reports machines for which the record names what is older than what they have run, and gives their number.
func (d *doctor) olderThanWhatRan(md engine.Metadata) (n int) {
	for _, id := range slices.Sorted(maps.Keys(d.hooks)) {
		u, own := md.MachineUpgrades[id]
		if !own && md.HotUpgrade != nil {
			u = *md.HotUpgrade
		}
		ran := d.hooks[id]
		if back := ran.TakenBackTo; back != "" && back == u.SHA256 { // it loads that all the same: see Newest.taken_back_to
			continue
		}
		if s := u.Signature; s != nil && s.SignedAtMS < ran.NewestMS {
			n++
			d.report(engine.Check{
				Name: "record", Status: engine.CheckWarn, Machine: id, Remedy: engine.Remedies["older_record"],
				Text: "what current.json names for the machine was signed at " + engine.SignedAt(s.SignedAtMS) + ", and it has run what was signed at " + engine.SignedAt(ran.NewestMS),
			})
		}
	}
	return n
}

// recordedNone is about a current.json that names no upgrade: who withdraws one with a key signs that.
func (d *doctor) recordedNone(wrong error) {
	if wrong == nil {
		d.ok("record", "names no upgrade, which is signed with a key that is trusted here")
		return
	}
	c := engine.FailedCheck("record", wrong)
	c.Status = engine.CheckWarn
	c.Remedy = "If an upgrade was withdrawn without a key, deploy again. Else somebody has removed one: `flydeploy history` shows what was deployed."
	d.report(c)
}
