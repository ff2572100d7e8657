package view

import (
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// LastVitals is how a machine did when it told that last: asked for its code, or during a deploy. Another instance of the machine has
// not told anything.
type LastVitals struct {
	Instance string
	At       time.Time
	engine.Load
	// Told is what only a deploy brings, nil where the VM was asked for its code alone; Busy and BusySince are the looks before.
	Told      *engine.Vitals
	Busy      []int
	BusySince int
}

// VitalsOfCode takes in a VM's answer to the question for its code; false where it did not say how it does.
func VitalsOfCode(code engine.MachineCode, instance string, at time.Time) (LastVitals, bool) {
	if code.Load == nil {
		return LastVitals{}, false
	}
	return LastVitals{Instance: instance, At: at, Load: *code.Load}, true
}

// Answers are what the VMs of a fleet have said when they were asked: of their code and how they do, by machine; differ is how many run
// other code than recorded, or gave no answer.
func Answers(o engine.Overview, now time.Time) (code map[string]Inspected, vitals map[string]LastVitals, differ int) {
	code, vitals = map[string]Inspected{}, map[string]LastVitals{}
	for _, m := range o.Machines {
		said, asked := o.Code[m.ID]
		if !asked {
			continue
		}
		if v, told := VitalsOfCode(said, m.InstanceID, now); told {
			vitals[m.ID] = v
		}
		code[m.ID] = Inspected{Instance: m.InstanceID, At: now, MachineCode: said}
		if said.Stale || said.Drift > 0 || said.Problem != nil {
			differ++
		}
	}
	return code, vitals, differ
}

// Asked says how a question to all VMs ended.
func Asked(vms, differ int) string {
	if differ == 0 {
		return "Asked " + text.Counted(vms, "VM") + ": all run the recorded code"
	}
	return "Asked " + text.Counted(vms, "VM") + ": " + text.Count(differ) + " with other code than recorded, or without an answer"
}

// LastVitalsText is the same as LastVitalsFacts, in one line.
func LastVitalsText(v LastVitals, now time.Time) string {
	words := "memory " + size(v.Memory) + ", run queue " + text.Count(v.RunQueue)
	if v.Told != nil {
		words = VitalsText(v.Told)
	}
	return words + ", " + text.Counted(v.Processes, "process") + ", told " + Ago(now.Sub(v.At))
}

// VitalsOfDeploy takes in what a machine has told during a deploy; false where it told nothing.
func VitalsOfDeploy(m *engine.MachineProgress, instance string, at time.Time) (LastVitals, bool) {
	v := m.Vitals
	if v == nil {
		return LastVitals{}, false
	}
	load := engine.Load{Memory: v.Memory, Processes: v.Processes, RunQueue: v.RunQueue}
	return LastVitals{Instance: instance, At: at, Load: load, Told: v, Busy: m.Busy, BusySince: m.BusySince}, true
}

// LastVitalsColumns are columns of the table of the fleet, in the order of LastVitalsCells; they give way in turn with its others.
func LastVitalsColumns() []cells.Column {
	return []cells.Column{
		{Title: "MEMORY", Right: true, Drop: 8}, {Title: "BUSY", Drop: 9}, {Title: "PROCESSES", Right: true, Drop: 2}, {Title: "CRASHES", Right: true, Drop: 6},
		{Title: "TOLD", Width: 8, Right: true, Drop: 4},
	}
}

// LastVitalsCount is how many they are.
const LastVitalsCount = 5

// vitalsFresh is how old vitals may be and still be shown as those of now.
const vitalsFresh = 15 * time.Second

// LastVitalsCells are a machine's vitals, muted where they are old, and ? where nobody knows them.
func LastVitalsCells(v LastVitals, known bool, now time.Time) []cells.Span {
	unknown := cells.Span{Text: "?", Tone: cells.Muted}
	if !known {
		return []cells.Span{unknown, unknown, unknown, unknown, {Text: "–", Tone: cells.Muted}}
	}
	tone := cells.Normal
	if now.Sub(v.At) > vitalsFresh {
		tone = cells.Muted
	}
	row := []cells.Span{cells.New(tone, size(v.Memory)), unknown, cells.New(tone, text.Count(v.Processes)), unknown, cells.New(cells.Muted, Ago(now.Sub(v.At)))}
	if v.Told != nil {
		row[3] = cells.New(tone, text.Count(v.Told.Crashes)+"/min")
		if v.Told.Crashes > before(v.Told).Crashes {
			row[3].Tone = cells.Warn
		}
		if v.Told.Schedulers != nil {
			row[1] = cells.New(tone, fmt.Sprintf("%s %d %%", Levels(v.Busy, v.BusySince, busyCells), *v.Told.Schedulers))
		}
	}
	return row
}

// LastVitalsFacts are the same, one in a line, with when they were told.
func LastVitalsFacts(v LastVitals, now time.Time, w int) []cells.Line {
	lines := []cells.Line{cells.Fact("told", Ago(now.Sub(v.At)), w)}
	if v.Told != nil {
		return append(lines, VitalsFacts(&engine.MachineProgress{Vitals: v.Told, Busy: v.Busy, BusySince: v.BusySince}, w)...)
	}
	return append(lines, cells.Fact("memory", size(v.Memory), w), cells.Fact("run queue", text.Count(v.RunQueue), w),
		cells.Fact("alive", text.Counted(v.Processes, "process"), w))
}
