package tui

import (
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// vitalsOf is how a machine did when it told that last, if it is still the same instance. Nobody is asked for the sake of this screen:
// i asks the VMs, and a deploy brings what its machines tell.
func (f *fleet) vitalsOf(m engine.Machine) (view.LastVitals, bool) {
	v, told := f.vitals[m.ID]
	return v, told && v.Instance == m.InstanceID
}

// vitalsCells of one machine. Of what never takes part nobody wants to know any.
func (f *fleet) vitalsCells(m engine.Machine, now time.Time) []cells.Span {
	v, known := f.vitalsOf(m)
	row := view.LastVitalsCells(v, known, now)
	if !known && (!view.TakesPart(m) || m.State != engine.StateStarted) {
		for i := range row {
			row[i] = cells.Span{Text: "–", Tone: cells.Muted}
		}
	}
	return row
}

// knownVitals reports whether the vitals of any machine are known, and whether a deploy has told any.
func (f *fleet) knownVitals() (known, told bool) {
	for _, m := range f.Overview.Machines {
		if v, is := f.vitalsOf(m); is {
			known, told = true, told || v.Told != nil
		}
	}
	return known, told
}

// tell keeps what a machine told, in the place of what it told before.
func (f *fleet) tell(id string, v view.LastVitals) {
	if f.vitals == nil {
		f.vitals = map[string]view.LastVitals{}
	}
	f.vitals[id], f.came = v, engine.Overview{} // columns may change
}

// learn keeps what the machines of a deploy have told, when its screen is left.
func (f *fleet) learn(d *deployScreen) {
	if d == nil || !d.hasLogs() { // a record tells nothing of now
		return
	}
	instances := engine.ByID(f.Overview.Machines)
	for _, r := range d.board.rows {
		if v, told := view.VitalsOfDeploy(r.m, instances[r.m.ID].InstanceID, r.told); told {
			f.tell(r.m.ID, v)
		}
	}
}
