package plain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// What a machine, a bucket, a build or another operator wrote reaches no output as it is.
func TestNothingHostileGetsThrough(t *testing.T) {
	for name, named := range map[string]bool{"texts": false, "named types": true} {
		before, after, end := tuitest.PoisonedDeploy(named)
		var out bytes.Buffer
		if err := plain.Lines(t.Context(), &out, tuitest.Confirmed(before, after, end), nil); err != nil {
			t.Fatal(err)
		}
		tuitest.CheckHarmless(t, name+" as lines", out.String())
		tuitest.CheckHarmless(t, name+" in the summary", plain.Summary(end))
		out.Reset()
		if err := plain.JSON(t.Context(), &out, tuitest.Confirmed(before, after, end)); err != nil {
			t.Fatal(err)
		}
		for _, v := range []any{end, tuitest.PoisonedOverview(named), tuitest.PoisonedPast(named)} {
			if err := plain.Encode(&out, v); err != nil {
				t.Fatal(err)
			}
		}
		tuitest.CheckHarmless(t, name+" as JSON", out.String())
		for line := range strings.Lines(out.String()) {
			var decoded any
			if err := json.Unmarshal([]byte(line), &decoded); err != nil {
				t.Fatalf("%s: not JSON: %v: %s", name, err, line)
			}
			tuitest.CheckHarmless(t, name+" in decoded JSON", strings.ReplaceAll(texts(decoded), "\nFORGED", " FORGED"))
		}
		tuitest.CheckHarmless(t, name+" in the conversation", conversation(t, named))
		out.Reset()
		if err := plain.Markdown(t.Context(), &out, io.Discard, tuitest.Confirmed(before, after, end)); err != nil {
			t.Fatal(err)
		}
		tuitest.CheckHarmless(t, name+" as Markdown", out.String())
	}
}

// texts gives all strings of a decoded document, keys too.
func texts(v any) string {
	var b strings.Builder
	switch v := v.(type) {
	case string:
		return v + "\n"
	case []any:
		for _, e := range v {
			b.WriteString(texts(e))
		}
	case map[string]any:
		for k, e := range v {
			b.WriteString(k + "\n" + texts(e))
		}
	}
	return b.String()
}

// conversation goes through all that the accessible console tells: the fleet, the record, a recorded deploy, a lock, a plan,
// its blockers, the end, errors.
func conversation(t *testing.T, named bool) string {
	t.Helper()
	before, after, end := tuitest.PoisonedDeploy(named)
	failing := false
	app := &tuitest.Backend{
		OnOverview: func(context.Context) (engine.Overview, error) { return tuitest.PoisonedOverview(named), nil },
		OnInspect:  func(context.Context) (engine.Overview, error) { return tuitest.PoisonedOverview(named), nil },
		OnHistory: func(context.Context) ([]engine.Past, error) {
			if failing = !failing; failing {
				return nil, engine.NewProblem("storage", tuitest.Hostile, errors.New(tuitest.Hostile), tuitest.Hostile)
			}
			return tuitest.PoisonedPast(named), nil
		},
		OnEvents: func(context.Context, string) ([]engine.Event, *engine.Result, error) { return before, nil, nil },
		OnDeploy: func(engine.Request) (plain.Deployment, error) {
			return tuitest.Confirmed(slices.Concat(tuitest.PoisonedLock(), before), after, end), nil
		},
	}
	var out bytes.Buffer
	answers := "4\n4\n2\nvitals\nlogs\n\n\n\napps\n\n3\n1\n2\n" // the record twice, its second deploy; other looks; a choice of machines
	line := engine.MachineLine{At: tuitest.Start}
	tuitest.Poison(&line, named)
	logs := &tuitest.Logs{All: []engine.MachineLine{line}}
	listApps := func(context.Context) ([]engine.FlyApp, error) {
		listed := make([]engine.FlyApp, 2)
		tuitest.Poison(&listed, named)
		return listed, nil
	}
	o := plain.Options{
		App: "counter" + tuitest.Hostile, Backend: app, Logs: logs, Apps: listApps, Wrong: []string{tuitest.Hostile}, Input: io.MultiReader(strings.NewReader(answers)), Output: &out,
		Recall: func(r engine.Result) string { return "  show it again: flydeploy replay " + r.Upgrade.ID + "\n" },
	}
	if _, err := plain.Accessible(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{"Asking every VM.", "Enter ends that.", "app 2: "} {
		if !strings.Contains(out.String(), said) {
			t.Errorf("nothing says %q:\n%s", said, out.String())
		}
	}
	return out.String()
}
