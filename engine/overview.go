package engine

import (
	"context"
	"errors"
	"time"

	"flydeploy/engine/agent"
)

// Overview is the fleet as the Machines API and the bucket tell it, for the home screen and `flydeploy status`.
type Overview struct {
	App      string    `json:"app"`
	At       time.Time `json:"at"`
	OTPApp   string    `json:"otp_app,omitempty"` // "" where it is not known
	Machines []Machine `json:"machines"`
	Metadata *Metadata `json:"metadata"`                  // nil: there was no hot upgrade yet
	Lock     *LockInfo `json:"lock"`                      // nil: nobody deploys
	Storage  *Problem  `json:"storage_problem,omitempty"` // the bucket could not be read; machines are still shown
	// Stale lists the machines that run another image than the one whose upgrade is recorded: a cold deploy has won over it.
	// Nothing of it is applied to them, and the next hot deploy starts clean.
	Stale []string `json:"stale,omitempty"`
	// Code is what each machine's VM has loaded, by machine id; nil until Inspect.
	Code map[string]MachineCode `json:"code,omitempty"`
	// Release is the one that Inspect looks for; what is empty is asked of the VMs.
	Release agent.Release `json:"-"`
}

// Look reads the fleet, the metadata and the lock. A bucket that cannot be read is a problem inside the overview.
// locks and records may be nil: storage that is not known yet.
func Look(ctx context.Context, app string, fleet Fleet, locks Locks, records Records) (Overview, error) {
	o := Overview{App: app, At: time.Now()}
	machines, err := fleet.Machines(ctx)
	if err != nil {
		return o, err
	}
	o.Machines = machines
	if records == nil || locks == nil {
		return o, nil
	}
	if md, _, err := records.Metadata(ctx); err == nil {
		o.Metadata = &md
		o.Stale = o.staleOn()
	} else if !errors.Is(err, ErrNotFound) {
		o.Storage = AsProblem(err)
		return o, nil
	}
	if l, err := locks.Current(ctx); err == nil {
		l = l.Here()
		o.Lock = &l
	} else if !errors.Is(err, ErrNotFound) {
		o.Storage = AsProblem(err)
	}
	return o, nil
}

// HotUpgradeOf gives the upgrade that the metadata records for a machine; false when it runs its image's own code,
// also because the metadata belongs to another image.
func (o *Overview) HotUpgradeOf(m Machine) (HotUpgrade, bool) {
	if o.Metadata == nil {
		return HotUpgrade{}, false
	}
	return o.Metadata.upgradeOf(m)
}

// StaleOn tells whether upgrades are recorded, and none of them is for the image that this machine runs.
func (o *Overview) StaleOn(m Machine) bool {
	md := o.Metadata
	return md != nil && (md.HotUpgrade != nil || len(md.MachineUpgrades) > 0) &&
		m.LeftOut == "" && m.Temporary == "" && !SameImage(md.ImageRef, m.Image)
}

func (o *Overview) staleOn() []string {
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

func (md *Metadata) upgradeOf(m Machine) (HotUpgrade, bool) {
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
