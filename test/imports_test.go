package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The house's arrows: main imports cli, which imports all; tui imports engine; fly and s3 implement interfaces that engine owns; engine
// imports none of them; fly/local imports nothing of ours but its own rooms, so that a mistake cannot cancel itself out.
var mayImport = map[string][]string{
	"flydeploy": {"cli"},
	"flydeploy/cli": {
		"engine", "engine/agent", "engine/deploy", "engine/doctor", "engine/lock", "engine/record", "engine/run", "engine/target",
		"fly", "fly/local", "s3", "text", "tui", "tui/plain", "tui/prompt", "elixir", "examples/counter",
	},
	"flydeploy/test":                            {},
	"flydeploy/engine":                          {"text"},
	"flydeploy/engine/run":                      {"engine"},
	"flydeploy/engine/agent":                    {"engine", "elixir", "text"},
	"flydeploy/engine/agent/agenttest":          {"engine", "engine/agent"},
	"flydeploy/engine/agent/agenttest/contract": {"engine", "engine/agent"},
	"flydeploy/engine/lock":                     {"engine", "engine/run"},
	"flydeploy/engine/plan":                     {"engine", "text"},
	"flydeploy/engine/target":                   {"engine", "engine/agent", "engine/run", "text"},
	"flydeploy/engine/record":                   {"engine", "engine/lock", "engine/run", "text"},
	"flydeploy/engine/doctor":                   {"engine", "engine/agent", "engine/run", "engine/target", "text"},
	"flydeploy/engine/deploy":                   {"engine", "engine/agent", "engine/lock", "engine/plan", "engine/record", "engine/run", "engine/target", "text"},
	"flydeploy/fly":                             {"engine", "text"},
	"flydeploy/s3":                              {"engine", "text"},
	"flydeploy/text":                            {},
	"flydeploy/tui":                             {"engine", "text", "tui/cells", "tui/plain", "tui/view"},
	"flydeploy/tui/cells":                       {"text"},
	"flydeploy/tui/plain":                       {"engine", "text", "tui/cells", "tui/prompt", "tui/view"},
	"flydeploy/tui/tuitest":                     {"engine", "tui/plain"},
	"flydeploy/tui/view":                        {"engine", "text", "tui/cells"},
	"flydeploy/tui/prompt":                      {"text"},
	"flydeploy/elixir":                          {},
	"flydeploy/examples/counter":                {"elixir"},
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath == "flydeploy/fly/local" || strings.HasPrefix(p.ImportPath, "flydeploy/fly/local/") {
			continue // a test of its own holds its arrows
		}
		allowed, known := mayImport[p.ImportPath]
		if !known {
			t.Errorf("package %s is not in the house's plan: add it to mayImport with its arrows", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			ours, isOurs := strings.CutPrefix(imported, "flydeploy/")
			if isOurs && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

// Bubble Tea v1 asks the terminal at program start in every command that links it.
func TestNothingLinksTheFirstBubbleTea(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "flydeploy/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, old := range []string{"bubbletea", "lipgloss", "bubbles"} {
			if strings.HasPrefix(dep, "github.com/charmbracelet/"+old) {
				t.Errorf("links %s", dep)
			}
		}
	}
}

// What shows deploys in pipes and to screen readers needs no terminal, and no library for one.
func TestPlainOutputLinksNoBubbleTea(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "flydeploy/tui/plain").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if strings.HasPrefix(dep, "charm.land/bubble") {
			t.Errorf("links %s", dep)
		}
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "flydeploy/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
