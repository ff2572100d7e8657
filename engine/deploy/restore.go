package deploy

import (
	"cmp"
	"slices"

	"flydeploy/engine"
)

// What the ledger does where an upgrade is taken back.

// restore has md name for a machine what it named before the deploy. Signed anew it is not older than what was taken back.
func (l *ledger) restore(md *engine.Metadata, e *entry) {
	m := e.machine
	md.AddTakenBack(*l.back)
	delete(md.MachineUpgrades, m.ID)
	u := l.surveyed.before(m)
	if u == nil {
		l.demote(md)
		return
	}
	u.ByName = e.runs.ByName
	if md.HotUpgrade == nil || md.HotUpgrade.ID != u.ID {
		md.MachineUpgrades[m.ID] = *u
	}
	if l.ports.Keys.SignsWith() != "" && l.isSigned(*u, m.ID) {
		md.MachineUpgrades[m.ID] = l.sign(*u, cmp.Or(e.imageCode, u.Signature.ImageCode), m.ID)
	}
}

// demote has md name what is recorded of the whole fleet for each machine alone, for there is one that is to boot its image's code.
func (l *ledger) demote(md *engine.Metadata) {
	if md.HotUpgrade == nil {
		return
	}
	back := map[string]bool{}
	for _, e := range l.all() {
		back[e.machine.ID] = true
	}
	all := *md.HotUpgrade
	all.ByName = false // of their hooks nothing is known
	for _, m := range l.surveyed.target.Machines {
		if _, own := md.MachineUpgrades[m.ID]; !own && !back[m.ID] && m.Temporary == "" && engine.SameImage(m.FullImage(), l.upgrade.BaseImage) {
			md.MachineUpgrades[m.ID] = all
		}
	}
	md.HotUpgrade = nil
}

// drop drops the entries of these machines: current.json names for them what ran before.
func (l *ledger) drop(machines []*rollout) {
	gone := map[string]bool{}
	for _, r := range machines {
		gone[r.machine.ID] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = slices.DeleteFunc(l.entries, func(e *entry) bool { return gone[e.machine.ID] })
}

// byMachine gives the entries, by the IDs of their machines.
func (l *ledger) byMachine() map[string]*entry {
	by := map[string]*entry{}
	for _, e := range l.all() {
		by[e.machine.ID] = e
	}
	return by
}
