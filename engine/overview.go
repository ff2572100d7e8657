package engine

import "time"

// Overview is the fleet according to the Machines API and the bucket, for the home screen and `flydeploy status`.
type Overview struct {
	App      string    `json:"app"`
	At       time.Time `json:"at"`
	OTPApp   string    `json:"otp_app,omitempty"` // "" if unknown
	Machines []Machine `json:"machines"`
	Metadata *Metadata `json:"metadata"`                  // nil: no hot upgrade yet, or unknown, as Storage says
	Trial    *Trial    `json:"trial,omitempty"`           // what is on trial, and is not what machines boot
	Lock     *LockInfo `json:"lock"`                      // nil: nobody deploys, or unknown, as Storage says
	Storage  *Problem  `json:"storage_problem,omitempty"` // why the bucket could not be read
	Last     *Past     `json:"last,omitempty"`            // the last deploy that has changed something, or was to; nil for none, or where it was not read
	// Stale lists the IDs of machines whose image is not the one that the recorded upgrade is for: after a cold deploy they
	// ignore the record, and the next hot deploy starts a new one.
	Stale []string `json:"stale,omitempty"`
	// Code is what each machine's VM has loaded, by machine ID; nil until doctor.Inspect fills it.
	Code map[string]MachineCode `json:"code,omitempty"`
	// Release is the one that doctor.Inspect looks for; the VMs are asked for what is empty.
	Release Release `json:"-"`
}

// HotUpgradeOf gives the upgrade that the metadata records for a machine; false if there is none, or if the metadata is for
// another image.
func (o *Overview) HotUpgradeOf(m Machine) (HotUpgrade, bool) {
	if o.Metadata == nil {
		return HotUpgrade{}, false
	}
	return o.Metadata.UpgradeOf(m)
}

// RecordIsStaleFor reports whether upgrades are recorded, but for another image than this machine's.
func (o *Overview) RecordIsStaleFor(m Machine) bool {
	md := o.Metadata
	return md != nil && (md.HotUpgrade != nil || len(md.MachineUpgrades) > 0) &&
		m.LeftOut == "" && m.Temporary == "" && !SameImage(md.FullImage(), m.FullImage())
}

// StaleMachines lists the IDs of the machines for which the record is stale.
func (o *Overview) StaleMachines() []string {
	var ids []string
	for _, m := range o.Machines {
		if o.RecordIsStaleFor(m) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// RecordIsStale reports whether the record's upgrades are for an image that no machine runs any more.
func (o *Overview) RecordIsStale() bool {
	stale := false
	for _, m := range o.Machines {
		switch {
		case o.RecordIsStaleFor(m):
			stale = true
		case m.LeftOut == "" && m.Temporary == "":
			return false
		}
	}
	return stale
}

// MachineCode compares the code that a machine's VM has loaded with what the record says.
type MachineCode struct {
	// Applied: the VM has loaded the upgrade that the record names for this machine. False if the record names none, or could
	// not be read.
	Applied bool `json:"applied"`
	// Stale: the record names an upgrade, but the VM has loaded other code. Behind says why.
	Stale bool `json:"stale,omitempty"`
	// OnTrial is the ID of the deploy whose upgrade the VM runs on trial, so that the record does not name it; "" for none.
	OnTrial string `json:"on_trial,omitempty"`
	// CatchUp is how the VM keeps up with the record by itself; nil if it does not.
	CatchUp *CatchUp `json:"catch_up,omitempty"`
	// Drift counts loaded modules whose file on disk holds other code; Drifted names the first of them.
	Drift   int      `json:"drift,omitempty"`
	Drifted []string `json:"drifted,omitempty"`
	// Hook says whether a restart loads the upgrade again, and HookProblem what is wrong with the hook.
	Hook        Hook     `json:"hook,omitempty"`
	HookProblem *Problem `json:"hook_problem,omitempty"`
	// Undone says what upgrades have left undone in the VM, at its boot or since: children that do not run, settings that were not taken.
	Undone      []*Problem `json:"undone,omitempty"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Version     string     `json:"version,omitempty"` // of the upgrade, according to the package in the VM
	Load        *Load      `json:"load,omitempty"`    // how the VM did when it was asked; nil if it did not say
	Problem     *Problem   `json:"problem,omitempty"` // why the VM could not be asked
}

// Load is what a VM tells of itself besides its code.
type Load struct {
	Memory    int64 `json:"memory"` // bytes
	Processes int   `json:"processes"`
	RunQueue  int   `json:"run_queue"` // processes that wait for a scheduler
}

// Hook says whether a machine loads its upgrade again when it restarts: it does if the application's start calls
// FlyDeploy.startup_reapply_current/1.
type Hook string

// What is known about a machine's hook.
const (
	HookCalled   Hook = "called"   // when this VM started
	HookFailed   Hook = "failed"   // called when this VM started, but it could not reapply the upgrade
	HookGaveUp   Hook = "gave_up"  // called when this VM started; the boots before, with the upgrade, had not lasted: it runs its image
	HookUncalled Hook = "uncalled" // part of the release, but the application does not call it
	HookMissing  Hook = "missing"  // not part of the release
	HookUnknown  Hook = "unknown"  // part of the release, in a version that does not say whether it is called
)

// Works reports whether nothing is known that keeps a restart from loading the upgrade again.
func (h Hook) Works() bool { return h != HookUncalled && h != HookMissing && h != HookGaveUp }
