package engine

import (
	"time"
)

// Overview is the fleet as the Machines API and the bucket tell it, for the home screen and `flydeploy status`.
type Overview struct {
	App      string    `json:"app"`
	At       time.Time `json:"at"`
	OTPApp   string    `json:"otp_app,omitempty"` // "" where it is not known
	Machines []Machine `json:"machines"`
	Metadata *Metadata `json:"metadata"`                  // nil: there was no hot upgrade yet, or Storage says why nobody knows
	Lock     *LockInfo `json:"lock"`                      // nil: nobody deploys, or Storage says why nobody knows
	Storage  *Problem  `json:"storage_problem,omitempty"` // the bucket could not be read; machines are still shown
	// Stale lists the machines that run another image than the one whose upgrade is recorded: a cold deploy has won over it.
	// Nothing of it is applied to them, and the next hot deploy starts clean.
	Stale []string `json:"stale,omitempty"`
	// Code is what each machine's VM has loaded, by machine id; nil until Inspect.
	Code map[string]MachineCode `json:"code,omitempty"`
	// Release is the one that Inspect looks for; what is empty is asked of the VMs.
	Release Release `json:"-"`
}

// HotUpgradeOf gives the upgrade that the metadata records for a machine; false when it runs its image's own code,
// also because the metadata belongs to another image.
func (o *Overview) HotUpgradeOf(m Machine) (HotUpgrade, bool) {
	if o.Metadata == nil {
		return HotUpgrade{}, false
	}
	return o.Metadata.UpgradeOf(m)
}

// StaleOn tells whether upgrades are recorded, and none of them is for the image that this machine runs.
func (o *Overview) StaleOn(m Machine) bool {
	md := o.Metadata
	return md != nil && (md.HotUpgrade != nil || len(md.MachineUpgrades) > 0) &&
		m.LeftOut == "" && m.Temporary == "" && !SameImage(md.ImageRef, m.Image)
}

// StaleMachines lists the ids of the machines that StaleOn is true for.
func (o *Overview) StaleMachines() []string {
	var ids []string
	for _, m := range o.Machines {
		if o.StaleOn(m) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// StaleRecord tells whether the record's upgrades are for an image that no machine runs any more.
func (o *Overview) StaleRecord() bool {
	stale := false
	for _, m := range o.Machines {
		switch {
		case o.StaleOn(m):
			stale = true
		case m.LeftOut == "" && m.Temporary == "":
			return false
		}
	}
	return stale
}

// MachineCode is what a machine's VM says of its loaded code, beside what the record says that it runs.
type MachineCode struct {
	// Applied: the upgrade that the record names for this machine is what its VM has loaded; false where none is named, or
	// where the record could not be read.
	Applied bool `json:"applied"`
	// Stale: the record names an upgrade, and the VM has loaded other code: it woke from a suspension, or its startup hook
	// is missing or failed.
	Stale bool `json:"stale,omitempty"`
	// Drift counts loaded modules whose file on disk is other code; Drifted are the first of them.
	Drift   int      `json:"drift,omitempty"`
	Drifted []string `json:"drifted,omitempty"`
	// Hook: whether a restart leads back to the upgrade; HookProblem says what is wrong with it.
	Hook        Hook     `json:"hook,omitempty"`
	HookProblem *Problem `json:"hook_problem,omitempty"`
	Fingerprint string   `json:"fingerprint,omitempty"`
	Version     string   `json:"version,omitempty"` // of the upgrade, as the package in the VM knows it
	Problem     *Problem `json:"problem,omitempty"` // the VM could not be asked
}

// Hook tells whether a restart of a machine leads back to its upgrade: FlyDeploy.startup_reapply_current/1, called in the
// application's start.
type Hook string

// What is known of a machine's hook.
const (
	HookCalled   Hook = "called"   // when this VM started
	HookFailed   Hook = "failed"   // called when this VM started, and it could not reapply the upgrade
	HookUncalled Hook = "uncalled" // part of the release, but the application does not call it
	HookMissing  Hook = "missing"  // not part of the release
	HookUnknown  Hook = "unknown"  // part of the release, in a version that does not tell whether it is called
)

// Works: nothing is known that would keep a restart from leading back to the upgrade.
func (h Hook) Works() bool { return h != HookUncalled && h != HookMissing }
