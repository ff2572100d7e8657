package deploy_test

import (
	"archive/tar"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	for _, disk := range []struct {
		name, prepare, why string
		long               bool // left to `make soak`
	}{
		{"read-only", "mount --bind /app /app && mount -o remount,bind,ro /app", "cannot be replaced: read-only file system", true},
		{"not the VM's", "chmod -R a-w /app/lib", "cannot be replaced: permission denied", true},
		{"full before the download", "mount -t tmpfs -o size=64k,mode=1777 tmpfs /tmp", "the tarball cannot be written: no space left on device", true},
		{"full before the new files", "cp -a " + ebin + " /run/ebin && mount -t tmpfs -o mode=777,size=$(du -sk /run/ebin | cut -f1)k tmpfs " + ebin +
			" && cp -a /run/ebin/*.* " + ebin, "cannot be replaced: no space left on device", false},
	} {
		if disk.long && !full {
			continue
		}
		u.t.Log(disk.name)
		id, took := u.bootOn(disk.prepare)
		u.expectRefused(id, took, 0, disk.why)
		if code := u.status(id); !code.Stale || code.Hook != engine.HookFailed || !strings.Contains(code.HookProblem.What, disk.why) || code.Drift != 0 {
			u.t.Errorf("status says %+v", code)
		}
		u.order(http.MethodDelete, id, "?force=true")
	}
	u.placesNothingItMayNot(ebin)
}

// placesNothingItMayNot: what the hook says of a read-only disk, and of a folder that is not the VM's, without a boot of its own.
func (u *upgraded) placesNothingItMayNot(ebin string) {
	u.t.Helper()
	const script = `mount --bind /app /app && mount -o remount,bind,ro /app && mkdir -p /tmp/roots && echo new >/tmp/new && chown 65534 /tmp/new &&
RELEASE_TMP=/tmp/eval exec setpriv --reuid=65534 --regid=65534 --clear-groups /app/bin/counter eval '
for to <- ["EBIN/x", "/tmp/roots/x"],
    {:error, why} <- [FlyDeploy.Placement.place([{"/tmp/new", to}], "01A", fn -> :ok end)],
    do: IO.puts(why)'`
	out, err := u.fleet.Exec(u.t.Context(), u.id, []string{"unshare", "--mount", "/bin/sh", "-c", strings.ReplaceAll(script, "EBIN", ebin)}, "", 50*time.Second)
	want := ebin + "/x cannot be replaced: read-only file system\n/tmp/roots/x cannot be replaced: permission denied\n"
	if err != nil || out.Stdout != want {
		u.t.Errorf("it says %+v, %v; want %q", out, err, want)
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

// An upgrade that no boot survives is loaded twice. Then the machine boots its image, says so, and stays with it, until other code
// is deployed.
func (u *upgraded) isNotLoadedForEver() {
	beam := compile(u.t, "Counter.Upgrades", `def child_spec(_), do: raise("no boot survives this")`)
	u.publish(rewrite(u.t, u.publishedTarball(), func(h *tar.Header, content []byte) []byte {
		if filepath.Base(h.Name) == "Elixir.Counter.Upgrades.beam" {
			return beam
		}
		return content
	}), "crashing")

	const loaded = "FlyDeploy reapplied hot upgrade 2.0.0"
	before := strings.Count(u.local.Console(u.id), loaded)
	u.order(http.MethodPost, u.id, "/restart?force_stop=true")
	u.awaitBoot(u.id) // the machine tries again by itself, as on Fly

	s := u.expectVersion(u.id, "1.0.0")
	u.expectUpgrade(u.id, s.Versions.FlyDeploy, u.image, "", "")
	const says = "hot upgrade 2.0.0 was loaded by the last two boots, and each ended within a minute"
	log := u.local.Console(u.id)
	if n := strings.Count(log, loaded) - before; n != 2 || strings.Count(log, "[error] FlyDeploy boots this machine's image: "+says) != 1 {
		u.t.Errorf("its log tells of %d boots with the upgrade, want 2 and then one of the image:\n%s", n, log)
	}
	u.expectImagesOwnFiles(u.id)
	u.expectBootsImage(says)
}

// expectBootsImage expects status, doctor and the record to say that the machine boots its image.
func (u *upgraded) expectBootsImage(says string) {
	u.t.Helper()
	if code := u.status(u.id); !code.Stale || code.Hook != engine.HookGaveUp || !strings.Contains(code.HookProblem.What, says) || code.HookProblem.Remedy == "" {
		u.t.Errorf("status says %+v, %v", code, code.HookProblem)
	}
	if c := u.examined(u.id)["startup_hook"]; c.Status != engine.CheckFail || !strings.Contains(c.Text, says) {
		u.t.Errorf("the doctor says %+v", c)
	}
	past, err := record.History(u.t.Context(), u.bucket(), 0)
	if err != nil || len(past) != 1 || !slices.Equal(past[0].BootsImage, []string{u.id}) {
		u.t.Errorf("the record says %+v, %v", past, err)
	}
}

// forgetBoots makes the boots of a machine count anew.
func (w *world) forgetBoots(id string) {
	w.t.Helper()
	md := w.current()
	upgrade, ok := md.MachineUpgrades[id]
	if !ok {
		upgrade = *md.HotUpgrade
	}
	if err := w.bucket().Delete(w.t.Context(), "releases/counter-results/"+upgrade.ID+"/boots-"+id+".json"); err != nil {
		w.t.Fatal(err)
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
