package view

import (
	"fmt"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// Of a thousand machines that stand alike one reads once, with the sum of their processes.
func TestMachinesThatStandAlikeAreOneLine(t *testing.T) {
	p := &engine.Plan{Upgrade: engine.Upgrade{Version: "2.0.0"}, Findings: []engine.Finding{{Name: "stale_struct", What: "held", Severity: engine.SeverityBlock, Processes: 4000}}}
	for i := range 1000 {
		m := engine.MachinePlan{Machine: engine.Machine{ID: fmt.Sprintf("m%04d", i)}, Runs: engine.Code{Version: "1.0.0"}}
		m.Report.Processes = 10 + i%3
		m.Processes = []engine.ProcessChange{{Module: "Shop.Cart", Kind: "gen_server", Count: 10 + i%3}}
		if i < 400 {
			p.Findings[0].Machines = append(p.Findings[0].Machines, m.Machine.ID)
		}
		p.Machines = append(p.Machines, m)
		p.LeftOut = append(p.LeftOut, engine.Machine{ID: fmt.Sprintf("x%04d", i), LeftOut: "stopped"})
	}
	p.Verdict = p.Judge()
	screen := cells.String(Plan(p, nil, 100))
	for _, want := range []string{
		"✗ cold: stale_struct (4,000 processes) on 400 machines\n", "upgrade    1.0.0 → 2.0.0\n", "\n400 machines  4,399 processes  stale_struct\n",
		"\n600 machines  6,600 processes\n  m0400, m0401,", "\n  Shop.Cart ×6,600\n", " more  – left out: stopped\n", "  4,000 processes on 400 machines: m0000, ",
	} {
		if !strings.Contains(screen, want) {
			t.Errorf("the plan lacks %q:\n%s", want, screen)
		}
	}
	if n := strings.Count(screen, "\n"); n > 30 {
		t.Errorf("it has %d lines", n)
	}
}
