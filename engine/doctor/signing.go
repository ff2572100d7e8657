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
	c := Check{Name: "signing", Status: CheckWarn}
	switch {
	case h.State == agent.HookAbsent:
		return
	case h.WrongKeys != "":
		c.Text, c.Remedy = "after a restart it loads no upgrade: "+h.WrongKeys, engine.Remedies["not_signed"]
	case theirs == "" && own == "":
		c.Status = CheckOK
		c.Text = "no: whoever can write to the bucket can put code onto the machine at its next start (see `flydeploy keygen --help`)"
	case theirs == "":
		c.Text = "this console signs with key " + own + ", and the machine loads what nobody has signed as well"
		c.Remedy = "Give the package the public key (`config :fly_deploy, public_key:`), and deploy cold once: `fly deploy`."
	case own == "":
		c.Text, c.Remedy = "it loads only what is signed with key "+theirs+", and this console signs nothing", engine.Remedies["not_signed"]
	case !slices.Contains(h.PublicKeys, own):
		c.Text, c.Remedy = "it loads only what is signed with key "+theirs+", and this console signs with "+own, engine.Remedies["not_signed"]
	default:
		c.Status, c.Text = CheckOK, "it loads only what is signed with key "+theirs
	}
	d.on(m, c)
}

// recorded checks the signatures in current.json, as far as this console knows keys.
func (d *doctor) recorded(otpApp string, md engine.Metadata) {
	if !d.Keys.Demands() || !md.NamesUpgrades() {
		return
	}
	wrong := d.Keys.CheckRecord(sign.App{Fly: d.Fly, OTP: otpApp}, md)
	for _, id := range slices.Sorted(maps.Keys(wrong)) {
		c := FailedCheck("record", wrong[id])
		c.Status, c.Machine = CheckWarn, id
		d.report(c)
	}
	if len(wrong) == 0 {
		d.ok("record", "signed with a key that is trusted here")
	}
}
