package plan_test

import (
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/plan"
)

func TestTheReleaseCommand(t *testing.T) {
	const migrate, seed = "bin/migrate", "bin/migrate && bin/seed"
	added := found("migrations_added", engine.SeverityBlock,
		"priv/repo/migrations/2_orders.exs is added: a hot upgrade runs no migration, and no release_command")
	recorded := func(image, command string) engine.Metadata {
		return engine.Metadata{ImageRef: image, HotUpgrade: &engine.HotUpgrade{ID: "01K8", Version: "1.0.1", ReleaseCommand: command}}
	}
	for name, try := range map[string]struct {
		command  string // of fly.toml
		runs     bool
		recorded engine.Metadata
		want     string // the names of findings, with their severities
		verdict  engine.VerdictWord
	}{
		"nobody runs it":                       {migrate, false, recorded(base, migrate), "block migrations_added", engine.VerdictCold},
		"it runs":                              {migrate, true, recorded(base, migrate), "info migrations_added, info release_command", engine.VerdictHot},
		"there is none":                        {"", true, engine.Metadata{}, "block migrations_added", engine.VerdictCold},
		"another one, and nobody runs it":      {seed, false, recorded(base, migrate), "block migrations_added, block release_command_changed", engine.VerdictCold},
		"another one, and it runs":             {seed, true, recorded(base, migrate), "info migrations_added, info release_command", engine.VerdictHot},
		"that of another image tells nothing":  {seed, false, recorded(made, migrate), "block migrations_added", engine.VerdictCold},
		"an older record tells nothing":        {seed, false, recorded(base, ""), "block migrations_added", engine.VerdictCold},
		"no upgrade was recorded for machines": {seed, false, engine.Metadata{ImageRef: base}, "block migrations_added", engine.VerdictCold},
	} {
		t.Run(name, func(t *testing.T) {
			u := upgrade()
			u.ReleaseCommand = try.command
			m := machine("m1", "ams", base)
			p := plan.Make(plan.Facts{
				Upgrade: u, Machines: []plan.Machine{staged(m, 1, added)}, Fleet: []engine.Machine{m}, Recorded: try.recorded, RunsReleaseCommand: try.runs,
			})
			var got []string
			for _, f := range p.Findings {
				got = append(got, string(f.Severity)+" "+f.Name)
				if f.Severity == engine.SeverityInfo && strings.Contains(f.What, "runs no migration") {
					t.Errorf("it says of what is run: %s", f.What)
				}
			}
			if strings.Join(got, ", ") != try.want || p.Verdict.Word != try.verdict {
				t.Errorf("verdict %s, findings %s, want %s", p.Verdict.Word, got, try.want)
			}
		})
	}
}
