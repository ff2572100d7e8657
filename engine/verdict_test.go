package engine

import (
	"fmt"
	"strings"
	"testing"
)

func TestVerdicts(t *testing.T) {
	on := func(name string, severity Severity, processes int, machines ...string) Finding {
		return Finding{Name: name, Severity: severity, Processes: processes, Machines: machines}
	}
	open := MachinePlan{Report: MachineReport{Processes: 2002}}
	for _, c := range []struct {
		machines int
		findings []Finding
		want     string
	}{
		{2, nil, "hot hot: 1 module and 4,004 processes change while they run"},
		{2, []Finding{on("open_pages", SeverityInfo, 3, "m1")}, "hot hot: 1 module and 4,004 processes change while they run"},
		{1, []Finding{on("init_changed", SeverityWarn, 0, "m1")}, "hot_with_risks hot with risks: init_changed"},
		{2, []Finding{on("init_changed", SeverityWarn, 0, "m1")}, "hot_with_risks hot with risks: init_changed on machine m1"},
		{2, []Finding{on("init_changed", SeverityWarn, 0, "m1", "m2"), on("leased", SeverityWarn, 0, "m2")},
			"hot_with_risks hot with risks: init_changed, leased on both machines"},
		{3, []Finding{on("stale_struct", SeverityBlock, 4000, "m1", "m2"), on("stale_struct", SeverityBlock, 2, "m2"), on("lingering", SeverityBlock, 1, "m3")},
			"cold cold: stale_struct (4,002 processes) on 2 machines"},
		{2, []Finding{on("lingering", SeverityBlock, 1, "m2"), on("init_changed", SeverityWarn, 0, "m1")}, "not_now not now: lingering (1 process) on machine m2"},
		{2, []Finding{on("taken_back", SeverityBlock, 0)}, "not_now not now: taken_back"},
		{2, []Finding{on("storage_differs", SeverityBlock, 0)}, "not_now not now: storage_differs"},
		{2, []Finding{on("config_changed", SeverityBlock, 0, "m1"), on(NothingHot, SeverityRefuse, 0, "m1")}, "cold cold: nothing of it can be applied: deploy cold"},
		{2, []Finding{on("clears_record", SeverityBlock, 0, "b1")}, "cold cold: clears_record on machine b1"},
		{1, []Finding{on("suspended", SeverityWarn, 0, "m9")}, "hot_with_risks hot with risks: suspended on machine m9"},
		{1, []Finding{on("a", SeverityBlock, 0), on("b", SeverityBlock, 0), on("c", SeverityRefuse, 0), on("d", SeverityBlock, 0), on("e", SeverityBlock, 0),
			on("f", SeverityBlock, 0)}, "cold cold: a, b, c, d, 2 more"},
	} {
		p := Plan{Findings: c.findings, Modules: []ModuleChange{{Module: "Shop.Cart"}}}
		for i := range c.machines {
			m := open
			m.Machine.ID = fmt.Sprintf("m%d", i+1)
			p.Machines = append(p.Machines, m)
		}
		if v := p.Judge(); string(v.Word)+" "+v.Text != c.want {
			t.Errorf("the verdict is %s %s, want %s", v.Word, v.Text, c.want)
		}
	}
	upToDate := Plan{Machines: []MachinePlan{{UpToDate: true}}}
	if v := upToDate.Judge(); v.Text != "hot: nothing to do, every machine runs it already" {
		t.Errorf("the verdict is %s", v.Text)
	}
}

func TestWhatNoColdDeployCures(t *testing.T) {
	p := Plan{}
	for _, name := range []string{"children_changed", "taken_back", "other_base", "clears_record", "low_disk", "leased"} {
		p.Findings = append(p.Findings, Finding{Name: name, Severity: SeverityBlock})
	}
	p.Findings[5].Severity = SeverityWarn
	for accepted, want := range map[string]string{
		"": "taken_back other_base clears_record low_disk", "children_changed": "taken_back other_base clears_record low_disk",
		"taken_back other_base": "clears_record low_disk", "taken_back other_base clears_record low_disk": "",
	} {
		var names []string
		for _, f := range p.NotCured(strings.Fields(accepted)) {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("with %q accepted: %q, want %q", accepted, got, want)
		}
	}
}

// What blocks has a verdict that says so.
func TestAPlanWithBlockersIsNeverHot(t *testing.T) {
	for name := range Remedies {
		for _, s := range []Severity{SeverityBlock, SeverityRefuse} {
			p := Plan{Findings: []Finding{{Name: name, Severity: s}}}
			if v := p.Judge(); v.Word != VerdictCold && v.Word != VerdictNot {
				t.Errorf("%s %s: %s", s, name, v.Text)
			}
		}
	}
}
