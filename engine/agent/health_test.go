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
	"time"

	"flydeploy/engine"
)

var healthModules = []string{"Server", "Cart", "Page", "Quitter", "Doomed", "Loop", "Noise", "Run"}

// withHealth names the modules of testdata/health in an .app file.
func withHealth(app []byte) []byte {
	var modules strings.Builder
	for _, m := range healthModules {
		modules.WriteString("'Elixir.Health." + m + "',")
	}
	return []byte(strings.Replace(string(app), "{modules,[", "{modules,["+modules.String(), 1))
}

// healthUpgrade puts version 1 of testdata/health into a node of the release changes, starts it, and gives the order for version 2.
func healthUpgrade(t *testing.T, n *node) Order {
	t.Helper()
	source, err := filepath.Abs("testdata/health/health.ex")
	if err != nil {
		t.Fatal(err)
	}
	base := tarballIn(t, "changes", changesRelease()).bytes
	const ebin = "lib/changes-1.0.0/ebin/"
	out := t.TempDir()
	compile := exec.Command("elixirc", "-o", out, source)
	compile.Env = append(os.Environ(), "HEALTH=2")
	if output, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("elixirc: %v\n%s", err, output)
	}
	added := map[string][]byte{}
	for _, m := range healthModules {
		name := "Elixir.Health." + m + ".beam"
		if added[ebin+name], err = os.ReadFile(filepath.Join(out, name)); err != nil {
			t.Fatal(err)
		}
	}
	app := filepath.Join(n.root, ebin, "changes.app")
	body, err := os.ReadFile(app)
	if err == nil {
		err = os.WriteFile(app, withHealth(body), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.eval(fmt.Sprintf(`
		System.put_env("HEALTH", "1")
		Code.compiler_options(docs: true)
		for {module, beam} <- Code.compile_file(%q) do
		  path = Path.join(Application.app_dir(:changes, "ebin"), "#{module}.beam")
		  File.write!(path, beam)
		  :code.load_binary(module, String.to_charlist(path), beam)
		end
		Health.Run.start()`, source))
	return orderFor(t, "changes", editTar(t, base, func(h *tar.Header, body []byte) []byte {
		if h.Name == ebin+"changes.app" {
			return withHealth(body)
		}
		return body
	}, added))
}

// One node, and all that can make an upgrade unhealthy: the watch is not troubled by what crashes all the time, and tells what came
// with the upgrade by module, exception and line.
func TestTheWatchTellsWhatCameWithTheUpgrade(t *testing.T) {
	t.Parallel()
	n := startRelease(t, "changes", changesRelease())
	s, staged := n.order(healthUpgrade(t, n))
	if staged.State != Staged {
		t.Fatalf("%s %v", staged.State, staged.Error)
	}
	if !slices.ContainsFunc(staged.Findings, func(f Finding) bool { return f.Severity == "block" && strings.HasPrefix(f.Subject, "Health.") }) {
		t.Errorf("the plan does not block what is committed all the same: %+v", staged.Findings)
	}
	status := n.follow(s, staged, func(s Status) bool { return s.Vitals != nil && s.Vitals.Crashes >= 40 && s.Vitals.Restarts >= 20 })
	status = n.commit(s, status)
	if status.State != Committed || status.Error != nil {
		t.Fatalf("%s %v %v", status.State, status.Error, status.Failures)
	}
	if v := status.VitalsBefore; v == nil || v.Crashes < 40 || v.Memory == 0 || v.Processes == 0 {
		t.Errorf("the vitals before the commit: %+v", v)
	}
	status = n.follow(s, status, func(s Status) bool {
		if crashes, _ := s.Watch.New(); len(crashes)+len(s.Watch.NearLimit()) > 0 {
			t.Fatalf("what crashes all the time is blamed on the upgrade: %+v, %+v", crashes, s.Watch.NearLimit())
		}
		return s.Watch.CrashesTotal >= 30
	})

	for _, sick := range []struct{ do, module, says string }{
		{"GenServer.cast(Health.Cart, :step)", "Health.Cart", "KeyError :step at health.ex:"},
		{"send(Health.Page, :render)", "Health.Page", "KeyError :total at health.ex:"},
		{"GenServer.cast(Health.Doomed, :step)", "Health.Doomed", "RuntimeError at health.ex:"},
		{"Process.whereis(Health.Doomed) && GenServer.cast(Health.Doomed, :step)", "Health.Fragile", "its restart limit was reached"},
	} {
		begun := time.Now()
		n.eval(sick.do)
		status = n.follow(s, status, func(s Status) bool {
			crashes, _ := s.Watch.New()
			return slices.ContainsFunc(crashes, func(c engine.Crash) bool { return c.Module == sick.module && strings.Contains(c.String(), sick.says) })
		})
		t.Logf("%s: told %.1f s after somebody began to crash it", sick.module, time.Since(begun).Seconds())
	}
	crashes, _ := status.Watch.New()
	if slices.ContainsFunc(crashes, func(c engine.Crash) bool { return c.Module == "Health.Loop" || c.Module == "Health.Noise" }) {
		t.Errorf("what crashes all the time is blamed on the upgrade as well: %+v", crashes)
	}

	// Cart and page have used up two of three restarts.
	n.eval("GenServer.cast(Health.Quitter, :step)")
	status = n.follow(s, status, func(s Status) bool { return len(s.Watch.NearLimit()) > 0 })
	near := status.Watch.NearLimit()[0]
	if near.Supervisor != "Health.Supervisor" || near.Limit != 3 || near.Restarts < 2 || near.Seconds != 3600 || near.Before != 0 {
		t.Errorf("near its limit: %+v", near)
	}
}

// follow waits for a status of which is holds.
func (n *node) follow(s *Session, status Status, is func(Status) bool) Status {
	n.t.Helper()
	deadline := time.Now().Add(4 * time.Minute)
	for !is(status) {
		if time.Now().After(deadline) {
			n.t.Fatalf("it never came: %+v, vitals %+v", status.Watch, status.Vitals)
		}
		var err error
		if status, err = s.Wait(n.t.Context(), status.Seq); err != nil {
			n.t.Fatal(err)
		}
	}
	return status
}
