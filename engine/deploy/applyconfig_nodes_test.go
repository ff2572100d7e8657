package deploy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/examples/counter"
	"flydeploy/fly/local"
)

// secret is in the environment of machines, and the configuration makes a setting of it.
const secret = "s3cret-of-the-machines"

// configured builds the sample app with a configuration of its own, and a config_change/3 that keeps what it was told.
func configured(t *testing.T, dir string, version int, config, runtime string) string {
	t.Helper()
	for name, text := range map[string]string{
		"config/config.exs":  "import Config\n" + config,
		"config/runtime.exs": "import Config\n" + runtime,
	} {
		if err := os.MkdirAll(filepath.Join(dir, "config"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	application := filepath.Join(dir, "versions", fmt.Sprintf("v%d", version), "application.ex")
	source, err := os.ReadFile(application)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(source, []byte("config_change")) {
		const told = "\n  def config_change(changed, new, removed), do: :persistent_term.put(:told, {Keyword.keys(changed), Keyword.keys(new), removed})\nend\n"
		source = append(bytes.TrimSuffix(bytes.TrimSpace(source), []byte("end")), told...)
		if err := os.WriteFile(application, source, 0o644); err != nil {
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

// asks evaluates a program in a machine's VM.
func (w *world) asks(id, program string) string {
	w.t.Helper()
	out, err := w.fleet.Exec(w.t.Context(), id, []string{"/app/bin/counter", "rpc", "IO.inspect(" + program + ")"}, "", time.Minute)
	if err != nil || out.ExitCode != 0 {
		w.t.Fatalf("%s: %+v, %v", program, out, err)
	}
	return strings.TrimSpace(out.Stdout)
}

// settingsAre checks the settings of all machines.
func (w *world) settingsAre(when, want string) {
	w.t.Helper()
	for _, id := range w.ids {
		if got := w.asks(id, "Enum.sort(Keyword.take(Application.get_all_env(:counter), [:color, :size, :key, :old]))"); got != want {
			w.t.Errorf("%s: machine %s has %s, want %s", when, id, got, want)
		}
	}
}

// restarts restarts all machines, and waits until their hook has reapplied what it should.
func (w *world) restarts() {
	w.t.Helper()
	for _, id := range w.ids {
		if err := w.local.Restart(id); err != nil {
			w.t.Fatal(err)
		}
		if err := w.client(id).AwaitHealth(w.t.Context()); err != nil {
			w.t.Fatalf("machine %s: %v", id, err)
		}
	}
}

// Configuration on real nodes: applied, kept over a restart, rolled back with a migration that fails, and taken back with a trial. Nothing
// that is told shows a value.
func TestConfigurationIsAppliedToNodes(t *testing.T) {
	if !full {
		t.Skip("takes minutes: make soak")
	}
	app := t.TempDir()
	if err := counter.WriteTo(app); err != nil {
		t.Fatal(err)
	}
	// Of runtime.exs: the machine's secret, under a name.
	key := func(n int) string {
		return fmt.Sprintf("config :counter, key: System.fetch_env!(%q) <> \"-%d\"\n", "COUNTER_SECRET", n)
	}
	first := configured(t, app, 1, "config :counter, color: :red, old: 1\n", key(1))
	second := configured(t, app, 2, "config :counter, color: :blue, size: 2\n", key(2))
	third := configured(t, app, 3, "config :counter, color: :green, size: 3\n", key(3))

	w := newWorldWith(t, local.Options{}, map[string]string{"COUNTER_SECRET": secret}, 0)
	push := func(root string) string {
		image, err := w.local.Push(t.Context(), root, "")
		if err != nil {
			t.Fatal(err)
		}
		return image.Ref
	}
	image := push(first)
	for range 2 {
		w.launch(image, "ams")
	}
	run := func(root string, change func(*engine.Settings)) (*engine.Progress, engine.Result) {
		s := settings()
		s.ApplyConfig = true
		if root != "" {
			s.Image = push(root)
		}
		change(&s)
		p, r := w.deploy(s, 1)
		text := logOf(p) + fmt.Sprint(r)
		if p.Plan != nil {
			text += p.Plan.String()
		}
		if strings.Contains(text, secret) {
			t.Errorf("a value was told:\n%s", text)
		}
		return p, r
	}
	red := `[color: :red, key: "` + secret + `-1", old: 1]`
	blue := `[color: :blue, key: "` + secret + `-2", size: 2]`
	w.settingsAre("at first", red)

	t.Log("a migration fails, on one machine first")
	if _, r := run(third, func(s *engine.Settings) { s.Strategy.Kind = engine.StrategyCanary }); r.Outcome != engine.OutcomeFailed {
		t.Fatalf("version 3: %s: %v", r.Outcome, r.Problem)
	}
	w.settingsAre("rolled back", red)
	if told := w.asks(w.ids[0], ":persistent_term.get(:told, nil)"); told != "nil" {
		t.Errorf("rolled back, and told %s", told)
	}

	t.Log("on trial, and taken back")
	p, r := run(second, func(s *engine.Settings) { s.Strategy.Trial = 20 * time.Minute })
	if r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("on trial: %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	const says = ": :counter: changes :color, :key; adds :size; removes :old, and calls Counter.Application.config_change/3"
	if !strings.Contains(p.Plan.String(), says) || strings.Contains(p.Plan.String(), "config_changed") {
		t.Errorf("the plan lacks %q:\n%s", says, p.Plan)
	}
	w.settingsAre("on trial", blue)
	for _, id := range w.ids {
		if told := w.asks(id, ":persistent_term.get(:told, nil)"); told != "{[:color, :key], [:size], [:old]}" {
			t.Errorf("machine %s was told %s", id, told)
		}
	}
	if p, r := run("", func(s *engine.Settings) { s.EndTrial = engine.TrialTakenBack }); r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("taking it back: %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	w.settingsAre("taken back", red)

	t.Log("for good")
	p, r = run(second, func(s *engine.Settings) { s.Accept = append(s.Accept, "taken_back") })
	if r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("version 2: %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	w.settingsAre("applied", blue)
	w.restarts()
	w.settingsAre("restarted", blue)
	if got := w.asks(w.ids[0], "FlyDeploy.Hook.calls()[:counter]"); !strings.Contains(got, "reapplied") || !strings.Contains(got, "4 settings") {
		t.Errorf("the hook says %s", got)
	}
	again := func(s *engine.Settings) { s.Resume, s.Accept = true, append(s.Accept, "taken_back") }
	// That it was taken back before is what its plan says, which was accepted.
	if p, r := run("", again); r.Outcome != engine.OutcomeSucceeded || slices.ContainsFunc(p.Plan.Machines, func(m engine.MachinePlan) bool { return !m.UpToDate }) {
		t.Errorf("again: %s, %s: %v", r.Outcome, p.Plan, r.Problem)
	}
}
