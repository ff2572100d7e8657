package deploy_test

import (
	"archive/tar"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/fly/local"
)

func (u *upgraded) meetsFaultsOfItsDisk() {
	if u.local.Isolation() != local.Namespaces {
		u.t.Skip("needs machines with mounts of their own")
	}
	const ebin = "/app/lib/counter-1.0.0/ebin"
	for _, disk := range []struct{ name, prepare, why string }{
		{"read-only", "mount --bind /app /app && mount -o remount,bind,ro /app", "cannot be replaced: read-only file system"},
		{"not the VM's", "chmod -R a-w /app/lib", "cannot be replaced: permission denied"},
		{"full before the download", "mount -t tmpfs -o size=64k,mode=1777 tmpfs /tmp", "the tarball cannot be written: no space left on device"},
		{"full before the new files", "cp -a " + ebin + " /run/ebin && mount -t tmpfs -o mode=777,size=$(du -sk /run/ebin | cut -f1)k tmpfs " + ebin +
			" && cp -a /run/ebin/*.* " + ebin, "cannot be replaced: no space left on device"},
	} {
		u.t.Log(disk.name)
		id, took := u.bootOn(disk.prepare)
		u.expectRefused(id, took, 0, disk.why)
		if code := u.status(id); !code.Stale || code.Hook != engine.HookFailed || !strings.Contains(code.HookProblem.What, disk.why) || code.Drift != 0 {
			u.t.Errorf("status says %+v", code)
		}
		u.order(http.MethodDelete, id, "?force=true")
	}
}

// bootOn starts a machine whose disk root prepares before the release boots, and gives the time of that boot.
func (u *upgraded) bootOn(prepare string) (id string, took time.Duration) {
	u.t.Helper()
	id, err := u.local.Launch(u.t.Context(), local.MachineSpec{
		Image: u.image, Env: map[string]string{"COUNTERS": fmt.Sprint(counters)},
		Command: []string{"/bin/sh", "-c", `until [ -e /run/boot ]; do sleep 0.1; done; exec "$0"/bin/counter start`, "/app"},
	})
	if err != nil {
		u.t.Fatal(err)
	}
	out, err := u.fleet.Exec(u.t.Context(), id, []string{"/bin/sh", "-c", prepare + " && touch /run/boot"}, "", 10*time.Second)
	if err != nil || out.ExitCode != 0 {
		u.t.Fatalf("%s: %+v, %v", prepare, out, err)
	}
	from := time.Now()
	u.awaitBoot(id)
	return id, time.Since(from)
}

// An upgrade that no boot survives cannot be helped from within: every restart would load it again. Once it is withdrawn,
// the next boot runs the image.
func (u *upgraded) crashesUntilTheUpgradeIsWithdrawn() {
	beam := compile(u.t, "Counter.Upgrades", `def child_spec(_), do: raise("no boot survives this")`)
	u.publish(rewrite(u.t, u.publishedTarball(), func(h *tar.Header, content []byte) []byte {
		if filepath.Base(h.Name) == "Elixir.Counter.Upgrades.beam" {
			return beam
		}
		return content
	}), "crashing")

	u.order(http.MethodPost, u.id, "/restart?force_stop=true")
	// The machine tries again by itself, as on Fly.
	u.awaitConsole(u.id, "no boot survives this", 2)
	b := u.bucket()
	if _, err := record.Withdraw(u.t.Context(), settings(), engine.Storage{Locks: b, Records: b, Tarballs: b}, ""); err != nil {
		u.t.Fatal(err)
	}
	u.awaitBoot(u.id)

	s := u.expectVersion(u.id, "1.0.0")
	u.expectUpgrade(u.id, s.Versions.FlyDeploy, u.image, "", "")
}

// awaitConsole waits until a machine's boots have written a text so often.
func (w *world) awaitConsole(id, text string, times int) {
	w.t.Helper()
	for strings.Count(w.local.Console(id), text) < times {
		select {
		case <-w.t.Context().Done():
			w.t.Fatalf("machine %s never wrote %q:\n%s", id, text, w.local.Console(id))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// compile gives a module's .beam.
func compile(t testing.TB, module, body string) []byte {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "module.ex")
	if err := os.WriteFile(source, []byte("defmodule "+module+" do\n"+body+"\nend\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), "elixirc", "-o", dir, source).CombinedOutput(); err != nil {
		t.Fatalf("elixirc: %v\n%s", err, output)
	}
	beam, err := os.ReadFile(filepath.Join(dir, "Elixir."+module+".beam"))
	if err != nil {
		t.Fatal(err)
	}
	return beam
}
