package tui

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// rules is how many numbered rules the console has.
const rules = 17

// TestEveryRuleIsNamedByATest reads the names of the tests, here and of the built binary.
func TestEveryRuleIsNamedByATest(t *testing.T) {
	named := map[string]bool{}
	name := regexp.MustCompile(`(?:\nfunc Test|t\.Run\(")Rule(\d+)`)
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "../*_test.go", "../*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range name.FindAllSubmatch(text, -1) {
				named[string(m[1])] = true
			}
		}
	}
	for n := 1; n <= rules; n++ {
		if !named[strconv.Itoa(n)] {
			t.Errorf("no test is called TestRule%d…", n)
		}
	}
}

// sources parses the package without its tests.
func sources(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	fset, all := token.NewFileSet(), map[string]*ast.File{}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if all[name], err = parser.ParseFile(fset, name, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	return fset, all
}

func TestRule1OneRootModelAndShortDispatch(t *testing.T) {
	fset, files := sources(t)
	var models []string
	for name, f := range files {
		for _, imported := range f.Imports {
			path, _ := strconv.Unquote(imported.Path.Value)
			outside := []string{"os", "net", "net/http", "os/exec"}
			if slices.Contains(outside, path) && name != "copy.go" && name != "run.go" {
				t.Errorf("%s imports %s: what reaches outside belongs into commands", name, path)
			}
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if fn.Name.Name == "Update" {
				models = append(models, name)
			}
			lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
			if slices.Contains([]string{"Update", "dispatch", "View"}, fn.Name.Name) && lines > 40 {
				t.Errorf("%s has %d lines", fn.Name.Name, lines)
			}
		}
	}
	if len(models) != 1 {
		t.Errorf("models in %v, want one", models)
	}
}

// TestRule1UpdateNeverWaits gives the console an outside that never answers. Update would hang in it.
func TestRule1UpdateNeverWaits(t *testing.T) {
	forever := make(chan struct{})
	o := Options{
		App: "counter", Dir: t.TempDir(), Header: func() string { <-forever; return "" },
		Backend: &tuitest.Backend{
			OnOverview: func(context.Context) (engine.Overview, error) { <-forever; return engine.Overview{}, nil },
			OnDeploy:   func(engine.Request) (plain.Deployment, error) { <-forever; return nil, nil },
			OnHistory:  func(context.Context) ([]engine.Past, error) { <-forever; return nil, nil },
			OnEvents:   func(context.Context, string) ([]engine.Event, *engine.Result, error) { <-forever; return nil, nil, nil },
			OnWatch:    func(string) engine.Source { return neverSource{forever} },
			OnInspect:  func(context.Context) (engine.Overview, error) { <-forever; return engine.Overview{}, nil },
		},
	}
	b := newBench(t, size{120, 40}, o)
	b.Init()
	b.sees(6)
	b.keys("i", "r", "esc", "v", "esc", "y", "d")
	b.pass(time.Second)
	b.fits()
	b = newBench(t, size{120, 40}, o)
	b.sees(6)
	b.keys("r")
	b.send(historyMsg{of: b.past, past: tuitest.PastDeploys()})
	b.keys("enter", "esc", "down", "enter", "L", "s", "esc")
	b.fits()
}

type neverSource struct{ forever chan struct{} }

func (s neverSource) Next(context.Context) ([]engine.Event, error) { <-s.forever; return nil, nil }

func TestRule6DialogsNameCountAndIDs(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	blocking := tuitest.Blocked(6, engine.SeverityBlock)
	ids := []string{"148e00016c0000", "148e00026c1eef"}
	for name, test := range map[string]struct {
		events []engine.Event
		keys   []string
		count  string
		ids    []string
	}{
		"the plan":           {before, nil, "6 machines", ids},
		"leaving":            {append(slices.Clone(before), after[:20]...), []string{"esc"}, "6 machines: ", ids},
		"accepting":          {blocking, []string{"D"}, "2 machines: ", ids[:1]},
		"overriding a lock":  {append(namedMachines(6), tuitest.Locked()...), []string{"o"}, "6 machines: ", ids},
		"stopping by ctrl-c": {before, []string{"ctrl+c"}, "6 machines: ", ids},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, size{80, 24}, Options{})
			b.deploys(test.events, nil)
			b.keys(test.keys...)
			b.shows(append(slices.Clone(test.ids), test.count)...)
		})
	}
}

// namedMachines are the first events of a deploy, before it has the lock.
func namedMachines(n int) []engine.Event {
	s := tuitest.NewScript(n)
	for _, m := range s.Machines {
		s.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseInject, Status: engine.StatusPending, Facts: &m})
	}
	return s.Events
}

func TestRule6ConfirmDiffersFromTheKeyThatOpensIt(t *testing.T) {
	k := newKeyMap(false, true)
	for _, opens := range k.deploy.Keys() {
		if slices.Contains(k.confirm.Keys(), opens) {
			t.Errorf("%s opens a deploy and confirms it", opens)
		}
	}
	for _, other := range []string{"y", "enter", "space", " "} {
		if slices.Contains(k.confirm.Keys(), other) {
			t.Errorf("%s confirms, and does something else on other screens", other)
		}
	}
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(tuitest.Locked(), nil)
	b.keys("o")
	if d := b.dialog; d.buttons[0].label != "Cancel" || d.focus != 0 {
		t.Error("the focus of the override is not on Cancel")
	}
}

func TestRule8TheSummaryStaysWithTheCommandThatShowsIt(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
	o := offering(Options{App: "counter"})
	o.Recall = func(r engine.Result) string {
		return fmt.Sprintf("  show it again: flydeploy replay %s\n", r.Upgrade.ID)
	}
	b := newBench(t, size{80, 24}, o)
	b.deploys(before, nil)
	b.hears(after, &end)
	got := b.ended().Summary
	for _, part := range []string{
		"counter 0.2.0: partial, 5 of 6 machines run it", "148e00016c0000  ams     rolled back", "cannot migrate a counter that is negative",
		"fly deploy", "flydeploy replay " + tuitest.UpgradeID,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in the summary\n%s", part, got)
		}
	}
	if strings.ContainsRune(got, '\x1b') {
		t.Error("the summary holds escapes")
	}
}

func TestRule15ReadOnlyTakesAwayWhatChangesAnything(t *testing.T) {
	var selected []engine.Selection
	o := deployRecorder(&selected)
	o.ReadOnly = true
	b := newBench(t, size{120, 40}, o)
	b.sees(6)
	b.shows("read-only")
	b.hides("deploy all", "space mark")
	for _, k := range append(walkKeys, "ctrl+space") {
		b.keys(k, "esc", "esc")
	}
	b.keys(":")
	b.types("deploy")
	b.do("enter")
	b.keys("esc", "esc", "?")
	b.hides("mark a range", "deploy as planned", "override")
	if len(selected) != 0 || len(b.fleet.marked) != 0 || b.deploy != nil {
		t.Fatalf("a read-only console changed something: %v, %v", selected, b.fleet.marked)
	}
	b = newBench(t, size{120, 40}, Options{App: "counter", ReadOnly: true, StartDeploy: true, Backend: o.Backend})
	b.Init()
	if b.deploy != nil {
		t.Fatal("a read-only console starts a deploy")
	}
}

func TestRule8DetachedAndStoppedDeploysAreHandedBack(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{80, 24}, Options{})
	p := b.deploys(append(before, after[:20]...), nil)
	b.keys("esc")
	if msg := b.do("b"); msg != tea.Quit() {
		t.Fatalf("detaching gave %T", msg)
	}
	if e := b.ended(); !e.Detached || e.Running != p || len(e.Progress.Machines) != 6 {
		t.Fatalf("ended %+v, want the deploy back, with what was shown of it", e)
	}
}
