package deploy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/examples/counter"
	"flydeploy/fly/local"
)

// grown builds the sample app with a child of its own module, which starts with an argument; its application tells its children.
func grown(t *testing.T, dir string, version int, folder, module, argument string) string {
	t.Helper()
	at := filepath.Join(dir, "versions", folder)
	application := filepath.Join(at, "application.ex")
	source, err := os.ReadFile(application)
	if err != nil {
		t.Fatal(err)
	}
	child := "{" + module + ", " + argument + "}"
	text := strings.Replace(string(source), "defp children do\n    [\n", "def children do\n    [\n      "+child+",\n", 1)
	text = regexp.MustCompile(`\{Counter\.(Before|After|Later), :\w+\}`).ReplaceAllLiteralString(text, child) // of an earlier call
	const server = "defmodule NAME do\n  use GenServer\n  def start_link(how), do: GenServer.start_link(__MODULE__, how, name: __MODULE__)\n" +
		"  def init(:bad), do: {:stop, :no_luck}\n  def init(:luck), do: :persistent_term.get(:luck, {:stop, :no_luck})\n  def init(how), do: {:ok, how}\nend\n"
	for file, text := range map[string]string{application: text, filepath.Join(at, "extra.ex"): strings.ReplaceAll(server, "NAME", module)} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var output bytes.Buffer
	root, err := counter.Build(t.Context(), dir, version, &output)
	if err != nil {
		t.Fatalf("%v\n%s", err, output.Bytes())
	}
	return root
}

// Children on real nodes: one that does not start is unhealthy and is taken back with the others, or tried again by --resume; those of an upgrade
// that stays are there after a restart, too, with their arguments, though the image's start/2 starts others.
func TestChildrenAreAppliedToNodes(t *testing.T) {
	if !full {
		t.Skip("takes minutes: make soak")
	}
	app := t.TempDir()
	if err := counter.WriteTo(app); err != nil {
		t.Fatal(err)
	}
	first := grown(t, app, 1, "v1", "Counter.Before", ":good")
	w := newWorldWith(t, local.Options{}, nil, 0)
	push := func(root string) string {
		image, err := w.local.Push(t.Context(), root, "")
		if err != nil {
			t.Fatal(err)
		}
		return image.Ref
	}
	w.launch(push(first), "ams")
	running := func(when, want string) {
		t.Helper()
		const ids = "for({id, pid, _, _} <- Enum.sort(Supervisor.which_children(Counter.Supervisor)), id in [Counter.Before, Counter.After], do: {id, is_pid(pid)})"
		got := w.asks(w.ids[0], ids)
		for wait := time.Now(); got != want && time.Since(wait) < time.Minute; got = w.asks(w.ids[0], ids) { // the hook applies them once the application runs
			time.Sleep(time.Second)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	const before, after = "[{Counter.Before, true}]", "[{Counter.After, true}]"
	running("at first", before)
	s := settings()
	s.ApplyChildren, s.OnSick, s.Strategy.Bake = engine.ApplyChildrenKeep, engine.OnSickBack, 10*time.Second

	t.Log("a child that does not start")
	s.Image = push(grown(t, app, 2, "v2", "Counter.After", ":bad"))
	p, r := w.deploy(s, 1)
	if r.Outcome != engine.OutcomeUnhealthy || r.Problem == nil || r.Problem.Name != "taken_back" || !strings.Contains(r.Problem.What, "Counter.After did not start: :no_luck") {
		t.Fatalf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	const says = ": Counter.Application: start/2 starts Counter.After, which is not running; no longer starts Counter.Before, which is running: after the commit"
	if plan := p.Plan.String(); !strings.Contains(plan, says) || strings.Contains(plan, "children_changed") || strings.Contains(plan, "module_in_use") {
		t.Errorf("the plan lacks %q:\n%s", says, plan)
	}
	running("taken back", before)

	t.Log("one that starts when it is tried again")
	stop := s
	stop.OnSick, stop.Image = engine.OnSickStop, push(grown(t, app, 2, "v2", "Counter.After", ":luck"))
	if p, r := w.deploy(stop, 1); r.Outcome != engine.OutcomeUnhealthy || !strings.Contains(r.Problem.What, "Counter.After did not start: :no_luck") {
		t.Fatalf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	running("not started", "[{Counter.After, false}]")
	w.asks(w.ids[0], ":persistent_term.put(:luck, {:ok, 1})")
	resumed := settings()
	resumed.Resume = true
	p, r = w.deploy(resumed, 1)
	if r.Outcome != engine.OutcomeSucceeded || !strings.Contains(p.Plan.String(), "Counter.After (:no_luck); they are tried again after the commit") {
		t.Fatalf("resumed: %s: %v\n%s\n%s", r.Outcome, r.Problem, p.Plan, logOf(p))
	}
	running("tried again", after)

	t.Log("one that does")
	s.Image = push(grown(t, app, 2, "v2", "Counter.After", ":good"))
	if p, r := w.deploy(s, 1); r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	running("applied", after)
	w.restarts()
	running("restarted", after)
	t.Log("one of the image's, with another argument")
	s.Image = push(grown(t, app, 2, "v2", "Counter.Before", ":other"))
	if p, r := w.deploy(s, 1); r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("%s: %v\n%s\n%s", r.Outcome, r.Problem, p.Plan, logOf(p))
	}
	running("with another argument", before)
	w.restarts()
	const argument = "with {_, pid, _, _} <- List.keyfind(Supervisor.which_children(Counter.Supervisor), Counter.Before, 0), do: :sys.get_state(pid)"
	for begun, got := time.Now(), ""; got != ":other"; time.Sleep(time.Second) {
		if got = w.asks(w.ids[0], argument); got != ":other" && time.Since(begun) > time.Minute {
			t.Fatalf("restarted with the argument %s", got)
		}
	}
}
