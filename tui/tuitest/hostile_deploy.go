package tuitest

import (
	"slices"

	"flydeploy/engine"
)

// PoisonedDeploy is a deploy of one machine that fails, with every kind of event, all of whose texts are hostile: those of
// named types where named is set, else the others.
func PoisonedDeploy(named bool) (before, after []engine.Event, end engine.Result) {
	before, after, end = RolledBack(1)
	before = append(before[:len(before)-1], Blocked(1, engine.SeverityBlock)...)
	for _, events := range [][]engine.Event{before, after} {
		for i := range events {
			Poison(&events[i], named, "Machine", "Log", "State")
		}
	}
	end.Problem.Remedy += "\nand more"
	Poison(&end, named)
	return before, after, end
}

// PoisonedLock is the begin of a deploy that a hostile lock keeps waiting.
func PoisonedLock() []engine.Event {
	events := Locked()
	for i := range events {
		Poison(&events[i], false, "Machine", "Log", "State", "Freeze") // a deploy's lock, no freeze
	}
	return slices.Clone(events)
}

// PoisonedOverview and PoisonedPast are what hostile machines and records tell.
func PoisonedOverview(named bool) engine.Overview {
	o := InspectedOverview()
	o.Lock = &engine.LockInfo{LockedAt: Start, ExpiresAt: Start.AddDate(100, 0, 0)}
	o.Metadata.MachineUpgrades = map[string]engine.HotUpgrade{o.Machines[0].ID: {}}
	for i := range o.Machines {
		id, image := o.Machines[i].ID, o.Machines[i].Image
		Poison(&o.Machines[i], named, "LeftOut", "Temporary")
		o.Machines[i].ID, o.Machines[i].Image = id+Hostile, image
		o.Code[id+Hostile] = o.Code[id]
	}
	machines, metadata := o.Machines, o.Metadata.ImageRef
	o.Machines = nil
	Poison(&o, named)
	o.Machines, o.Metadata.ImageRef = machines, metadata
	return o
}

// PoisonedPast is a record whose every text is hostile.
func PoisonedPast(named bool) []engine.Past {
	past := PastDeploys()
	Poison(&past, named)
	return past
}
