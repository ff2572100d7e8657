package agent

import (
	"archive/tar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A template of the new version that raises.
const brokenView = `
defmodule Zoo.View do
  @vsn 2
  @behaviour Phoenix.LiveView
  def render(%{migrated: 2} = assigns), do: Map.fetch!(assigns, :total)
  def code_change(1, socket, []), do: {:ok, Phoenix.LiveView.Utils.assign(socket, :migrated, 2)}
end
`

// brokenUpgrade is the order to upgrade the zoo to its second version, in which one template raises.
func brokenUpgrade(t *testing.T) Order {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "view.ex")
	if err := os.WriteFile(source, []byte(brokenView), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("elixirc", "-o", dir, source).CombinedOutput(); err != nil {
		t.Fatalf("compiling: %v\n%s", err, out)
	}
	broken, err := os.ReadFile(filepath.Join(dir, "Elixir.Zoo.View.beam"))
	if err != nil {
		t.Fatal(err)
	}
	return orderFor(t, "zoo", editTar(t, tarballIn(t, "zoo", zoos[2]()).bytes, func(h *tar.Header, body []byte) []byte {
		if strings.HasSuffix(h.Name, "/Elixir.Zoo.View.beam") {
			return broken
		}
		return otherScript(h, body)
	}))
}

// A template that raises takes the window back, and no page notices. Where that would end a process, the upgrade stays: that view
// keeps state and page, and is named.
func TestATemplateThatRaises(t *testing.T) {
	t.Parallel()
	n := startRelease(t, "zoo", zoos[1]())
	order := brokenUpgrade(t)
	n.eval("Supervisor.terminate_child(Zoo.Supervisor, :special)") // it runs a loop of its own, in code that changes
	broken := func(want State) Status {
		t.Helper()
		order.ID = NewID("test")
		s, staged := n.order(order)
		done := n.commit(s, staged)
		if done.State != want || done.Error != nil || len(done.Killed) > 0 || done.Crashed > 0 {
			t.Fatalf("%s %v, killed %v, crashed %d, %v", done.State, done.Error, done.Killed, done.Crashed, done.Failures)
		}
		if len(done.Failures) != 1 {
			t.Fatalf("failures: %v", done.Failures)
		}
		f := done.Failures[0]
		if f.Module != "Zoo.View" || f.Reason != NotRendered || f.Name != ":view" || !strings.Contains(f.Exception, "key :total not found") ||
			!strings.Contains(strings.Join(f.Stack, "\n"), "Zoo.View.render/1") {
			t.Errorf("failure: %+v", f)
		}
		if err := s.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.awaitGone()
		return done
	}
	pages := func(want string) {
		t.Helper()
		if got := n.eval("IO.inspect({GenServer.call(:view, :state), GenServer.call(:still, :state)})"); got != want {
			t.Errorf("pages: %s, want %s", got, want)
		}
	}

	files := func(want string) {
		t.Helper()
		got := n.eval(`
			dir = Application.app_dir(:zoo, "priv/static")
			IO.inspect({File.ls!(dir) |> Enum.sort(), File.read!(Path.join(dir, "manifest.json")), String.trim(:persistent_term.get(Zoo.Endpoint))}, width: 500)`)
		if got != want {
			t.Errorf("static files: %s, want %s", got, want)
		}
	}

	before := `{{"view 1 component 1 of 1", []}, {"component 1 of 1", []}}`
	first := `{["app-1.js", "manifest.json"], "{\"app.js\": \"app-1.js\"}\n", "{\"app.js\": \"app-1.js\"}"}`
	files(first)
	broken(RolledBack)
	pages(before)
	files(first)
	if got := n.eval("IO.inspect(GenServer.call(:plain, :state))"); got != "[1]" {
		t.Errorf("a server after the rollback: %s", got)
	}

	n.eval("Supervisor.restart_child(Zoo.Supervisor, :special)")
	if done := broken(Committed); done.Views != 1 {
		t.Errorf("%d views show the new code", done.Views)
	}
	files(`{["app-1.js", "app-2.js", "manifest.json"], "{\"app.js\": \"app-2.js\"}", "{\"app.js\": \"app-2.js\"}"}`)
	pages(`{{"view 1 component 1 of 1", [migrated: 2]}, {"component 2 of 1", []}}`)
}
