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
	Machines []Machine `json:"machines"`
	Metadata *Metadata `json:"metadata"`                  // nil: there was no hot upgrade yet
	Lock     *LockInfo `json:"lock"`                      // nil: nobody deploys
	Storage  *Problem  `json:"storage_problem,omitempty"` // the bucket could not be read; machines are still shown
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
	if m, _, err := records.Metadata(ctx); err == nil {
		o.Metadata = &m
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
