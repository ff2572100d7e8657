package view

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// valuesOf reads all values of a string type of package engine off its source, so that a new one cannot be missed.
func valuesOf(t *testing.T, typeName string) []string {
	t.Helper()
	files, err := os.ReadDir("../../engine")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), "../../engine/"+f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if named, ok := spec.Type.(*ast.Ident); !ok || named.Name != typeName {
				return true
			}
			for _, v := range spec.Values {
				if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					value, _ := strconv.Unquote(literal.Value)
					values = append(values, value)
				}
			}
			return true
		})
	}
	if len(values) < 5 {
		t.Fatalf("%s has the values %q", typeName, values)
	}
	return values
}

func TestEveryStateOfAMachineIsShown(t *testing.T) {
	for _, value := range valuesOf(t, "MachineState") {
		state := engine.MachineState(value)
		if _, ok := states[state]; !ok {
			t.Errorf("state %s has no word, glyph and rank", state)
			continue
		}
		s := StandingOf(&engine.MachineProgress{State: state}, false)
		if s.Word == "" || s.Word != cells.Cut(s.Word, 16) || s.Glyph("*") == "" || s.Rank >= Ranks || RankWords[s.Rank] == "" {
			t.Errorf("state %s is shown as %+v", state, s)
		}
		end := EndOf(engine.Result{}, state.Outcome(false))
		if state.Final() && (end.Word != s.Word || end.Rank != s.Rank) {
			t.Errorf("a machine that ended as %s is shown as %q, and in the result as %q", state, s.Word, end.Word)
		}
	}
}

func TestEveryOutcomeOfAMachineIsShown(t *testing.T) {
	words := map[string]string{}
	for _, value := range valuesOf(t, "MachineOutcome") {
		outcome := engine.MachineOutcome(value)
		s := EndOf(engine.Result{}, outcome)
		_, own := outcomes[outcome]
		_, asState := states[engine.MachineState(outcome)]
		if !own && !asState || s.Word == "" {
			t.Errorf("outcome %s is shown as %+v", outcome, s)
		}
		if other, ok := words[s.Word]; ok {
			t.Errorf("outcomes %s and %s are both %q", outcome, other, s.Word)
		}
		words[s.Word] = value
		if done := s.Rank == RankDone; done != (outcome.Upgraded() && outcome != engine.OutcomeMachineUnhealthy) {
			t.Errorf("outcome %s has rank %q", outcome, RankWords[s.Rank])
		}
	}
}

func TestWhatNeedsEyesIsOnTop(t *testing.T) {
	for _, state := range []engine.MachineState{
		engine.MachineDown, engine.MachineFailed, engine.MachineStale, engine.MachineRolledBack, engine.MachineRolledBackWithLosses,
		engine.MachineRestarted, engine.MachineReplaced, engine.MachineStopped, engine.MachineGone,
		engine.MachineUnhealthy, engine.MachineTakenBack,
	} {
		if s := StandingOf(&engine.MachineProgress{State: state}, false); s.Rank != RankFailed || s.Tone() != cells.Fail {
			t.Errorf("%s is %s", state, RankWords[s.Rank])
		}
	}
	committed := &engine.MachineProgress{State: engine.MachineCommitted, Problem: &engine.Problem{What: "no answer"}}
	if s := StandingOf(committed, false); s.Rank != RankUnknown || s.Word != wordUnverified {
		t.Errorf("a commit that nobody could verify is %+v", s)
	}
}

// Streams of older versions tell a machine's state at the begin and at the end alone.
func TestStandingOfAnOldStream(t *testing.T) {
	running, done, failed := engine.StatusRunning, engine.StatusDone, engine.StatusFailed
	type phases map[engine.Phase]engine.Status
	for name, test := range map[string]struct {
		state    engine.MachineState
		phases   phases
		problem  *engine.Problem
		upToDate bool
		want     string
	}{
		"selected":         {engine.MachineWaiting, nil, nil, false, "waiting"},
		"downloading":      {engine.MachineStaging, phases{engine.PhaseInject: done, engine.PhaseReload: running}, nil, false, "staging"},
		"between":          {engine.MachineStaging, phases{engine.PhaseInject: done, engine.PhaseReload: done}, nil, false, "waiting"},
		"left out":         {engine.MachineWaiting, phases{engine.PhaseInject: engine.StatusSkipped}, nil, false, "left out"},
		"staged":           {engine.MachineStaging, phases{engine.PhaseInject: done, engine.PhaseDetection: done}, nil, false, "staged"},
		"up to date":       {engine.MachineStaging, phases{engine.PhaseInject: done, engine.PhaseDetection: done}, nil, true, "up to date"},
		"checked as well":  {engine.MachineVerified, phases{engine.PhaseDetection: done, engine.PhaseCheck: done}, nil, true, "up to date"},
		"arming":           {engine.MachineStaging, phases{engine.PhaseDetection: done, engine.PhaseArm: running}, nil, false, "arming"},
		"armed":            {engine.MachineStaging, phases{engine.PhaseDetection: done, engine.PhaseArm: done}, nil, false, "armed"},
		"in the window":    {engine.MachineStaging, phases{engine.PhaseArm: done, engine.PhaseCodeLoad: done}, nil, false, "committing"},
		"no answer":        {engine.MachineStaging, phases{engine.PhaseArm: done, engine.PhaseCodeLoad: engine.StatusUnknown}, nil, false, "unknown"},
		"committed":        {engine.MachineCommitted, phases{engine.PhaseResume: done}, nil, false, "committed"},
		"checked":          {engine.MachineVerified, phases{engine.PhaseResume: done, engine.PhaseCheck: done}, nil, false, "upgraded"},
		"a failed phase":   {engine.MachineStaging, phases{engine.PhaseReload: failed}, nil, false, "failed"},
		"a problem":        {engine.MachineStaging, phases{engine.PhaseReload: running}, &engine.Problem{What: "full"}, false, "failed"},
		"rolled back":      {engine.MachineRolledBack, phases{engine.PhaseMigration: failed}, &engine.Problem{What: "raised"}, false, "rolled back"},
		"ended by another": {engine.MachineAborted, phases{engine.PhaseDetection: done}, nil, false, "aborted"},
	} {
		m := &engine.MachineProgress{State: test.state, Phases: map[engine.Phase]engine.PhaseState{}, Problem: test.problem}
		for p, status := range test.phases {
			m.Phases[p] = engine.PhaseState{Status: status}
		}
		if got := StandingOf(m, test.upToDate); got.Word != test.want {
			t.Errorf("%s: %q, want %q", name, got.Word, test.want)
		}
	}
}

func TestWhatHappenedInAFewWords(t *testing.T) {
	start := time.Date(2025, 11, 5, 12, 0, 0, 0, time.UTC)
	problem := engine.NewProblem("rolled_back", "7 of 2,003 processes could not be migrated", nil, "")
	for want, m := range map[string]*engine.MachineProgress{
		"7 of 2,003 processes could not be migrated": {State: engine.MachineRolledBack, Problem: problem},
		"Reload 5s": {State: engine.MachineStaging, Phases: map[engine.Phase]engine.PhaseState{engine.PhaseReload: {Status: engine.StatusRunning, StartedAt: start}}},
		"":          {State: engine.MachineArmed, Phases: map[engine.Phase]engine.PhaseState{engine.PhaseArm: {Status: engine.StatusDone, DurationUS: 12_000}}},
		"runs no Elixir release": {State: engine.MachineLeftOut, Phases: map[engine.Phase]engine.PhaseState{
			engine.PhaseInject: {Status: engine.StatusSkipped, Text: "runs no Elixir release"},
		}},
		"suspended 8.1 ms, 2,003 processes migrated": {State: engine.MachineVerified, Report: engine.MachineReport{SuspendedUS: 8_060, Migrated: 2003}},
	} {
		if got := Happened(m, StandingOf(m, false), start.Add(5*time.Second)); got != want {
			t.Errorf("%s: %q, want %q", m.State, got, want)
		}
	}
}
