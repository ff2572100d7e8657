package agent

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the plan says of changes that end processes or are not applied, and that it is silent about those that are harmless. One node
// is asked for all of them; what each kind of change comes to is in elixir/test/agent/code_findings_test.exs.
func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	root := changesRelease()
	base := tarballIn(t, "changes", root).bytes
	n := startRelease(t, "changes", root)
	n.eval("Changes.Setup.run()")

	dangerous := n.findingsOf(changesTo(t, changedRelease(t, root), root, "dangerous"))
	want := []string{
		"boot_changed block vm.args: differs in +hms, and is not applied before the next cold deploy",
		"behaviour_changed block Changes.Beh: is no longer a GenServer, but 1 running process would still call its handle_call/3, handle_cast/2",
		"callback_mode_changed block Changes.Door: its callback mode becomes :handle_event_function, and 1 process without code_change/4 would stay with :state_functions",
		"child_start_gone block Changes.Child: Changes.Top starts it by start_link/1, which is no longer exported: its next crash would end that supervisor",
		"children_changed block Changes.Application: start/2 starts Task.Supervisor, which is not running: a hot upgrade starts and stops no children",
		"config_changed block sys.config: differs in :changes, :color, and is not applied before the next cold deploy",
		"migrations_added block 1_carts.exs: is added: a hot upgrade runs no migration, and no release_command",
		"native_changed refuse changes/priv/nif.so: holds native code, which differs",
		"not_migrated warn Changes.Callbacks: has a code_change/3, and no process is known that would be migrated by it",
		"stale_shape block Changes.Cart's state without :coupon: is held by 2 processes of Changes.Cart; the new code takes it (in handle_call/3), and no code_change brings it",
		"stale_shape block Changes.Wrapper's state without :total: is held by 1 process of Changes.Wrapper; the new code takes it (in Changes.Callbacks.get/1), and no code_change brings it",
		"stale_struct block %Changes.State{} without :milestone: is held by 20 processes of Changes.Counter, 1 process of Changes.Setup, and no code_change migrates it",
		"supervisor_changed warn Changes.Sup: init/1 sets strategy: :one_for_all, which is not applied to what it started",
		"undefined_function block Changes.Price.old/1: is no longer exported, and Changes.Shop still calls it",
	}
	slices.Sort(want)
	if !slices.Equal(dangerous, want) {
		t.Errorf("dangerous changes:\n%s\nand not\n%s", strings.Join(dangerous, "\n"), strings.Join(want, "\n"))
	}
	n.eval(`for {_, pid, _, [Agent]} <- DynamicSupervisor.which_children(Changes.Dynamic), do: DynamicSupervisor.terminate_child(Changes.Dynamic, pid)`)
	if harmless := n.findingsOf(changesTo(t, base, root, "harmless")); len(harmless) > 0 {
		t.Errorf("harmless changes:\n%s", strings.Join(harmless, "\n"))
	}
}

// changedRelease is the tarball of the release at root with other files beside the same code.
func changedRelease(t *testing.T, root string) []byte {
	t.Helper()
	changed := filepath.Join(t.TempDir(), "changes")
	if out, err := exec.Command("cp", "-a", root, changed).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, text := range map[string]string{
		"lib/changes-1.0.0/priv/repo/migrations/1_carts.exs": "",
		"lib/changes-1.0.0/priv/nif.so":                      "\x7fELF",
		"releases/1.0.0/vm.args":                             "+hms 4000\n",
		"releases/1.0.0/sys.config":                          "[{changes, [{color, red}]}].",
	} {
		file := filepath.Join(changed, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return makeTarball(t, "changes", changed).bytes
}

// findingsOf stages an upgrade, takes it back, and gives what was found.
func (n *node) findingsOf(o Order) []string {
	n.t.Helper()
	s, staged := n.order(o)
	if staged.State != Staged {
		n.t.Fatalf("%s %v", staged.State, staged.Error)
	}
	if _, err := s.Abort(n.t.Context(), staged.Seq); err != nil {
		n.t.Fatal(err)
	}
	_ = s.Finish(n.t.Context())
	n.awaitGone()
	var found []string
	for _, f := range staged.Findings {
		if f.Name != "no_startup_hook" {
			found = append(found, fmt.Sprintf("%s %s %s: %s", f.Name, f.Severity, f.Subject, f.Detail))
		}
	}
	slices.Sort(found)
	return found
}

// changesTo is an order for the release at root with the modules of testdata/changes/version.ex in place of its own.
func changesTo(t *testing.T, base []byte, root, version string) Order {
	t.Helper()
	ebin := filepath.Join(root, "lib", "changes-1.0.0", "ebin")
	out := t.TempDir()
	source := filepath.Join("testdata", "changes", version+".ex")
	cmd := exec.Command("elixirc", "--ignore-module-conflict", "-pa", ebin, "-o", out, source)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	beams, _ := filepath.Glob(out + "/*.beam")
	added := map[string][]byte{}
	for _, file := range beams {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		added["lib/changes-1.0.0/ebin/"+filepath.Base(file)] = body
	}
	body := editTar(t, base, func(h *tar.Header, body []byte) []byte {
		if changed, ok := added[h.Name]; ok {
			delete(added, h.Name)
			return changed
		}
		return body
	}, added)
	return orderFor(t, "changes", body)
}
