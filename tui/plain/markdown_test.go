package plain_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

func TestMarkdown(t *testing.T) {
	for name, script := range map[string]func(int) ([]engine.Event, []engine.Event, engine.Result){"upgraded": tuitest.Upgraded, "rolled_back": tuitest.RolledBack} {
		t.Run(name, func(t *testing.T) {
			var document, progress bytes.Buffer
			if err := plain.Markdown(t.Context(), &document, &progress, tuitest.Confirmed(script(3))); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(progress.String(), "fleet Plan") || strings.Contains(document.String(), "[1/3]") {
				t.Errorf("progress belongs beside the document:\n%s", progress.String())
			}
			golden.RequireEqual(t, document.String())
		})
	}
}

// What stays behind stands right below the end, whatever kind it is.
func TestMarkdownOfWhatStaysBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(5 * time.Minute)
		result := engine.Result{
			Outcome: engine.OutcomePartial, Problem: &engine.Problem{What: "machine m1: its end was not seen"}, LockLeft: true,
			Left: []engine.Left{
				{What: engine.LeftTemporary, Machine: "t1", EndsAt: at, EndNow: "fly machine destroy --force t1 --app a"},
				{What: engine.LeftAgent, Machine: "m1", EndsAt: at},
				{What: engine.LeftLock, EndsAt: at, EndNow: "flydeploy lock release --app a"},
			},
		}
		var out bytes.Buffer
		if err := plain.Markdown(t.Context(), &out, io.Discard, tuitest.Confirmed(nil, nil, result)); err != nil {
			t.Fatal(err)
		}
		golden.RequireEqual(t, out.String())
	})
}

// What others wrote is read as it is: it makes no link, picture, heading, cell or tag, and calls nobody.
func TestMarkdownOfWhatOthersWrote(t *testing.T) {
	const hostile = "![x](http://evil.test/a.png) <img src=x> @team | # `fly deploy` www.evil.test *b* _i_ #12"
	result := engine.Result{
		Outcome: engine.OutcomeFailed, Problem: &engine.Problem{What: hostile, Remedy: "Run `fly deploy` | again."},
		Machines: []engine.MachineResult{{ID: "m1|", Error: hostile, Outcome: engine.OutcomeRolledBack}},
		Plan: &engine.Plan{
			Verdict:  engine.Verdict{Text: hostile},
			Findings: []engine.Finding{{Name: "busy`|", Severity: engine.SeverityBlock, What: hostile, Remedy: hostile}},
			Modules:  []engine.ModuleChange{{Module: "Elixir.A`<b>", Change: "changed"}},
		},
	}
	var out bytes.Buffer
	if err := plain.Markdown(t.Context(), &out, io.Discard, tuitest.Confirmed(nil, nil, result)); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, never := range []string{"![", "http:/", "<img", "@team", " | # ", "www.", " *b*", " _i_", " #12", "A`"} {
		if strings.Contains(got, never) {
			t.Errorf("it holds %q:\n%s", never, got)
		}
	}
	if n := strings.Count(got, "`fly deploy`"); n < 4 {
		t.Errorf("commands are code, %d of them:\n%s", n, got)
	}
}

func TestMarkdownThatNobodyReads(t *testing.T) {
	full := errors.New("full")
	err := plain.Markdown(t.Context(), failing{full}, io.Discard, tuitest.Confirmed(tuitest.Upgraded(1)))
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
