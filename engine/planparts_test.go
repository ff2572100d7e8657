package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
)

func largePlan(machines int) *Plan {
	p := &Plan{Upgrade: Upgrade{ID: "01K", Version: "2.0.0"}, Strategy: "all at once", MayGoCold: true}
	for i := range machines {
		id := fmt.Sprintf("m%04d", i)
		p.Machines = append(p.Machines, MachinePlan{Machine: Machine{ID: id}, Processes: []ProcessChange{{Module: "Counter", Kind: "gen_server", Count: i}}})
		p.LeftOut = append(p.LeftOut, Machine{ID: "out" + id, LeftOut: "stopped"})
		p.Modules = append(p.Modules, ModuleChange{Module: id})
		p.Findings = append(p.Findings, Finding{Name: id, Severity: SeverityWarn, Machines: []string{id}})
	}
	return p
}

// A plan comes out of its parts as it went in, also from the middle of a stream, and to two readers of the same events; a reader has none
// before the last part.
func TestAPlanInParts(t *testing.T) {
	const most = 4_000
	plan := largePlan(200)
	e := Event{V: 1, Attempt: 1, Phase: PhasePlan, Status: StatusRunning, Plan: plan, Text: "200 modules"}
	parts := e.InParts(most)
	if len(parts) < 10 {
		t.Fatalf("%d parts", len(parts))
	}
	first, second := NewProgress(), NewProgress()
	for range 2 { // a second plan replaces the first one
		for i, part := range parts {
			line, err := json.Marshal(part)
			if err != nil || len(line) > 2*most {
				t.Errorf("part %d has %d bytes: %v", i, len(line), err)
			}
			before := first.Plan
			for _, p := range []*Progress{first, second} {
				p.Apply(part)
			}
			if last := i == len(parts)-1; first.Plan != before != last {
				t.Errorf("part %d of %d: there is a new plan: %t", i+1, len(parts), first.Plan != before)
			}
			if i < len(parts)-1 && before == nil && first.Asks() == QuestionPlan {
				t.Error("a plan that is not whole is asked about")
			}
		}
	}
	for _, p := range []*Progress{first, second} {
		if !reflect.DeepEqual(p.Plan, plan) {
			t.Errorf("the plan has %d machines, %d modules, %d findings, %d left out, part %d", len(p.Plan.Machines), len(p.Plan.Modules), len(p.Plan.Findings), len(p.Plan.LeftOut), p.Plan.Part)
		}
		if s := p.Fleet[PhasePlan]; s.Status != StatusRunning || s.Text != "200 modules" {
			t.Errorf("the phase is %+v", s)
		}
	}
	broken := NewProgress()
	for i, part := range parts {
		if i != 3 {
			broken.Apply(part)
		}
	}
	if broken.Plan != nil {
		t.Error("a plan that lacks a part counts")
	}
	if small := largePlan(2); len(small.Divided(most)) != 1 || small.Divided(most)[0] != small {
		t.Error("a small plan is divided")
	}
}
