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

// The house's arrows, package by package. cli may import everything and nobody cli; the rooms of the engine stand on its
// vocabulary; fly and s3 implement the engine's ports; the console knows the vocabulary and none of the rooms.
var mayImport = map[string][]string{
	"": {"cli"},
	"cli": {
		"cli/demo", "cli/rehearse", "engine", "engine/agent", "engine/agent/kept", "engine/deploy", "engine/doctor", "engine/lock", "engine/record", "engine/run", "engine/sign", "engine/target",
		"fly", "fly/command", "cli/hooks", "s3", "text", "tui", "tui/cells", "tui/plain", "tui/prompt", "tui/views", "elixir",
	},
	"cli/demo":       {"engine", "fly/local", "examples/counter", "text"},
	"cli/rehearse":   {"engine", "fly/command", "fly/local", "text"},
	"engine":         {"text"},
	"engine/run":     {"engine"},
	"engine/sign":    {"engine"},
	"engine/agent":   {"engine", "elixir", "text"},
	"engine/lock":    {"engine", "engine/run"},
	"engine/plan":    {"engine", "text"},
	"engine/target":  {"engine", "engine/agent", "engine/run", "text"},
	"engine/record":  {"engine", "engine/lock", "engine/run", "engine/sign", "text"},
	"engine/doctor":  {"engine", "engine/agent", "engine/run", "engine/sign", "engine/target", "text"},
	"engine/release": {"elixir", "engine", "text"},
	"engine/deploy":  {"engine", "engine/agent", "engine/lock", "engine/plan", "engine/record", "engine/release", "engine/run", "engine/sign", "engine/target", "text"},

	"engine/agent/kept":               {"engine"},
	"engine/agent/agenttest":          {"engine", "engine/agent"},
	"engine/agent/agenttest/contract": {"engine", "engine/agent"},

	"cli/dist":                     {"cli"},
	"cli/hooks":                    {"engine", "engine/run", "fly/command", "text"},
	"fly":                          {"engine", "fly/command", "text"},
	"fly/command":                  {"text"},
	"s3":                           {"engine", "text"},
	"s3/s3test":                    {"s3"},
	"text":                         {},
	"tui":                          {"engine", "text", "tui/cells", "tui/plain", "tui/view", "tui/views"},
	"tui/cells":                    {"text"},
	"tui/view":                     {"engine", "text", "tui/cells"},
	"tui/plain":                    {"engine", "text", "tui/cells", "tui/prompt", "tui/view", "tui/views"},
	"tui/prompt":                   {"text"},
	"tui/views":                    {"text"},
	"tui/tuitest":                  {"engine", "tui/plain"},
	"elixir":                       {},
	"examples/counter":             {"elixir"},
	"examples/counter/countertest": {"examples/counter", "engine", "engine/agent", "engine/agent/kept"},
	"test":                         {},
}

// localFly imports nothing of ours but its own rooms, so that a mistake cannot cancel itself out: a test of its own holds
// its arrows.
const localFly = "fly/local"

func TestImportsFollowTheArrows(t *testing.T) {
	for _, p := range listPackages(t, "flydeploy/...") {
		if p.in(localFly) {
			continue
		}
		allowed, known := mayImport[p.room()]
		if !known {
			t.Errorf("package %s is not in the house's plan: add it to mayImport with its arrows", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			to := goPackage{ImportPath: imported}
			if to.ours() && !slices.Contains(allowed, to.room()) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

// ban keeps a package, and what lies below it, from being linked by a room and those below it; "" is all of ours.
type ban struct{ room, what, why string }

const (
	firstCharm = "it asks the terminal at program start in every command that links it: use charm.land's"
	ofTests    = "it is for tests"
	ofDemo     = "it is for the demo and for rehearsals, and for tests"
	viaPorts   = "the engine reaches the outside by its ports"
)

var bans = []ban{
	{"", "github.com/charmbracelet/bubbletea", firstCharm},
	{"", "github.com/charmbracelet/lipgloss", firstCharm},
	{"", "github.com/charmbracelet/bubbles", firstCharm},
	{"", "gopkg.in/yaml.v3", "nobody maintains it: use its successor, go.yaml.in/yaml/v3"},
	{"", "testing", "it declares options, and it is for tests"},
	{"", "net/http/httptest", ofTests},
	{"", "net/http/pprof", "it opens profiles to whoever reaches the process"},
	{"", "expvar", "it opens variables to whoever reaches the process"},
	{"", "flydeploy/engine/agent/agenttest", ofTests},
	{"", "flydeploy/tui/tuitest", ofTests},
	{"", "flydeploy/s3/s3test", ofTests},
	{"", "flydeploy/test", ofTests},
	{"", "flydeploy/fly/local", ofDemo},
	{"", "flydeploy/examples", ofDemo},
	{"", "github.com/rclone/gofakes3", ofDemo},
	{"", "github.com/google/go-containerregistry/pkg/registry", ofDemo},
	{"engine", "github.com/google/go-containerregistry", viaPorts},
	{"", "golang.org/x/tools", "it is for generators of code"},
	{"", "github.com/spf13/cobra/doc", "manual pages are made by make dist"},
	{"engine", "os/exec", viaPorts},
	{"engine", "github.com/aws", viaPorts},
	{"engine", "github.com/superfly", viaPorts},
	{"engine", "github.com/spf13", "options are the command line's"},
	{"engine", "charm.land", "the engine draws nothing"},
	{"engine/plan", "net/http", "a plan is a function of what is known"},
	{"s3", "github.com/superfly", "storage is not Fly's alone"},
	{"fly", "github.com/aws", "the Machines API is not the storage"},
	{"text", "net/http", "it only makes text"},
	{"tui", "net/http", "the console asks what its caller gives it"},
	{"tui/cells", "charm.land/bubbletea", "cells are drawn by whoever has a screen"},
	{"tui/view", "charm.land/bubbletea", "what is shown is the same without a screen"},
	{"tui/plain", "charm.land/bubbletea", "plain lines need no screen"},
}

// besides are the rooms that no deploy on Fly needs: they may link what they like.
var besides = []string{"cli/dist", "cli/demo", "cli/rehearse", "fly/local", "examples", "engine/agent/agenttest", "s3/s3test", "tui/tuitest", "test"}

// detours are imports that are not followed, and why.
var detours = map[string]string{
	"flydeploy/cli/demo":                 "the demo brings its own Fly",
	"flydeploy/cli/rehearse":             "a rehearsal brings its own Fly",
	"github.com/Khan/genqlient/generate": "fly-go imports the generator of its own client, and nothing calls it",
}

func TestNothingLinksWhatIsBanned(t *testing.T) {
	graph := map[string]goPackage{}
	for _, p := range listPackages(t, "-deps", "flydeploy/...") {
		graph[p.ImportPath] = p
	}
	met := map[string]bool{}
	for _, from := range graph {
		if !from.ours() || slices.ContainsFunc(besides, from.in) {
			continue
		}
		importers := linked(graph, from.ImportPath, met)
		for path, importer := range importers {
			for _, b := range bans {
				if from.in(b.room) && below(path, b.what) {
					t.Errorf("%s links %s, by %s: %s", from.ImportPath, path, importer, b.why)
				}
			}
		}
	}
	for detour, why := range detours {
		if !met[detour] {
			t.Errorf("nothing imports %s any more (%s): strike it off", detour, why)
		}
	}
}

// linked gives what a package links, without what comes by detours, each with a package that imports it.
func linked(graph map[string]goPackage, from string, met map[string]bool) map[string]string {
	importers := map[string]string{}
	for open := []string{from}; len(open) > 0; {
		importer := open[0]
		open = open[1:]
		for _, imported := range graph[importer].Imports {
			if detours[imported] != "" {
				met[imported] = true
			} else if importers[imported] == "" {
				importers[imported] = importer
				open = append(open, imported)
			}
		}
	}
	return importers
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

const module = "flydeploy"

func (p goPackage) ours() bool { return below(p.ImportPath, module) }

// room is the package's path below ours.
func (p goPackage) room() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// in reports whether a package of ours is a room, or lies below it; every one is in "".
func (p goPackage) in(room string) bool { return room == "" || below(p.room(), room) }

func below(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func listPackages(t *testing.T, args ...string) []goPackage {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...).Output()
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
