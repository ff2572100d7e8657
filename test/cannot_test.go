package test

import (
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"flydeploy/elixir"
)

// proof is a test of a line in README: a file, and a part of it that names the test.
type proof struct{ file, names string }

// What README says under "What a hot upgrade cannot do", and the tests that show it.
var cannot = map[string][]proof{
	"add or remove applications or dependencies; change the supervision tree by itself: `--apply-children` does, where it can": {
		{"elixir/test/agent/diff_test.exs", `test "applications that are started or not, and dependencies that are new or differ, are told"`},
		{"elixir/test/agent/code_findings_test.exs", `{"a child is added", @app`},
		{"elixir/test/agent/code_findings_test.exs", `test "children that are applied are no blockers"`},
		{"test/binary_test.go", "func TestDemoIsStoppedByItsPlan("},
	},
	"change Erlang, Elixir or the VM; upgrade NIFs and port drivers": {
		{"engine/agent/faults_test.go", "func TestPlatformAndDependenciesAreFindings("},
		{"engine/agent/faults_test.go", "func TestNativeAndStickyModulesAreRefused("},
		{"elixir/test/agent/release_findings_test.exs", `test "native files that differ, and new migrations"`},
	},
	"apply `config/*.exs` by itself: `--apply-config` does, except for what only a boot reads": {
		{"elixir/test/agent/release_findings_test.exs", `test "settings are told by their names"`},
		{"elixir/test/agent/app_config_test.exs", `test "without being asked, a VM that has an applied one tells that it would be lost"`},
		{"test/cannot_test.go", "func TestApplicationsAreToldOfTheirConfigurationInOnePlace("},
	},
	"run database migrations or the `release_command` by itself: `--release-command` does": {
		{"engine/deploy/releasecommand_test.go", "func TestAReleaseCommandThatIsNotAskedForDoesNotRun("},
		{"elixir/test/agent/release_findings_test.exs", `test "native files that differ, and new migrations"`},
		{"engine/agent/changes_test.go", "func TestChangesAreTold("},
	},
	"upgrade a running `Task`, which ends in the code in which it began": {
		{"engine/deploy/restart_test.go", "func TestAnUpgradeSurvivesRestartsUntilAColdDeploy("}, // the task runs version 1 after it
		{"engine/agent/upgrade_test.go", "func (n *node) upgradeAgain("},
	},
	"go through intermediate versions: each upgrade leads straight from what runs to the new version": {
		{"examples/counter/test/v3/migration_test.exs", `test "most counters migrate, from version 1 and from version 2"`},
		{"engine/deploy/verdict_test.go", "func TestThePlanSaysFromWhereToWhere("},
	},
	"know what values mean: another unit of a number, another order of a key's parts, keys and values of a map that change places; or what a module calls that was made while the VM ran": {
		{"elixir/test/agent/demands_test.exs", `test "what values mean is not known: these changes are silent"`},
		{"elixir/test/agent/undefined_test.exs", `test "a module without a file, which was made while it runs, is not asked what it calls"`},
	},
}

func TestWhatAHotUpgradeCannotDoIsShown(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "## What a hot upgrade cannot do\n\n")
	list, _, _ := strings.Cut(after, "\n\n")
	var lines []string
	for line := range strings.Lines(list) {
		lines = append(lines, strings.TrimPrefix(strings.TrimSpace(line), "- "))
	}
	slices.Sort(lines)
	if known := slices.Sorted(maps.Keys(cannot)); !slices.Equal(lines, known) {
		t.Errorf("README says\n%s\nand tests show\n%s", strings.Join(lines, "\n"), strings.Join(known, "\n"))
	}
	for line, proofs := range cannot {
		for _, p := range proofs {
			if text, err := os.ReadFile("../" + p.file); err != nil || !strings.Contains(string(text), p.names) {
				t.Errorf("%q: %s has no %s (%v)", line, p.file, p.names, err)
			}
		}
	}
}

// Applications are told where their configuration is applied, which somebody has asked for; endpoints read their static files again by
// config_change/2 without any changes. Nothing else is called by this name.
func TestApplicationsAreToldOfTheirConfigurationInOnePlace(t *testing.T) {
	called := regexp.MustCompile(`config_change\(?[^\n]*`)
	err := fs.WalkDir(elixir.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == "agent/config_change.ex" {
			return err
		}
		text, err := fs.ReadFile(elixir.Files, path)
		for _, call := range called.FindAllString(string(text), -1) {
			if strings.HasPrefix(call, "config_change(") && !strings.HasPrefix(call, "config_change([], [])") {
				t.Errorf("%s: %s", path, call)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
