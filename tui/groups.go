package tui

import (
	"flydeploy/engine"
)

// groupsOf gives how many of some machines are of each region or process group, if waves go by that.
func (c *console) groupsOf(ids []string, by engine.WavesBy) []int {
	known := engine.ByID(c.fleet.Overview.Machines)
	_, sizes := engine.Grouped(by, ids, func(id string) engine.Machine { return known[id] })
	return sizes
}
