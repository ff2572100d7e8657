package view

import (
	"flydeploy/engine"
	"flydeploy/text"
)

// CrashOn is one kind of crash, with the machines that have it.
type CrashOn struct {
	engine.Crash
	Machines []string // IDs
}

// Crashes gives what has crashed on the machines of a deploy, each kind once, the most frequent first.
func Crashes(machines []engine.MachineResult) []CrashOn {
	var all []engine.Crash
	for _, m := range machines {
		all = append(all, m.Crashes...)
	}
	var found []CrashOn
	for _, c := range engine.SumCrashes(all) {
		on := CrashOn{Crash: c}
		for _, m := range machines {
			for _, own := range m.Crashes {
				if own.SameKind(c) {
					on.Machines = append(on.Machines, m.ID)
				}
			}
		}
		found = append(found, on)
	}
	return found
}

// CrashText words a crash in one line.
func CrashText(c engine.Crash) string { return text.Line(c.String()) }
