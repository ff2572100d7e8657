package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/examples/counter/countertest"
	"flydeploy/fly/local"
)

// How much longer a boot takes that has an upgrade to apply, and one that has none: beside that of the same release without the package.
// Medians of boots in turn, so that all meet the same load, of which their CPU time depends less. Embedded mode is what a release has
// unless it is told otherwise; in interactive mode the hook pays for each module that it is the first to call, crypto's among them.
func BenchmarkRestart(b *testing.B) {
	for _, mode := range []string{"embedded", "interactive"} {
		b.Run(mode, func(b *testing.B) { benchmarkRestart(b, mode) })
	}
}

func benchmarkRestart(b *testing.B, mode string) {
	const rounds = 11
	w := newWorldWith(b, local.Options{}, map[string]string{"RELEASE_MODE": mode}, 2)
	s := settings()
	s.Select.Machines = w.ids[:1]
	if _, r := w.deploy(s, 2); r.Outcome != engine.OutcomeSucceeded {
		b.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
	}
	w.launch(w.pushWithoutPackage(), "ams")
	took, used := map[string][]time.Duration{}, map[string][]time.Duration{}
	for b.Loop() {
		for range rounds {
			w.forgetBoots(w.ids[0])
			for i, kind := range []string{"upgrade", "nothing", "without"} {
				took[kind] = append(took[kind], w.restart(w.ids[i]))
				used[kind] = append(used[kind], w.usedCPU(w.ids[i]))
			}
		}
	}
	if v := w.snapshot(w.ids[0]).Versions; v.Version != "2.0.0" || w.snapshot(w.ids[1]).Versions.FlyDeploy.BaseImageRef == "" || w.snapshot(w.ids[2]).Versions.FlyDeploy.BaseImageRef != "" {
		b.Fatalf("the machines have not booted as they should: %+v", v)
	}
	without := median(took["without"])
	for kind, unit := range map[string]string{"upgrade": "upgrade-ms", "nothing": "nothing-to-load-ms", "without": "without-hook-ms"} {
		b.ReportMetric(float64(median(took[kind]).Milliseconds()), unit)
	}
	for kind, unit := range map[string]string{"upgrade": "upgrade-cpu-ratio", "nothing": "nothing-to-load-cpu-ratio"} {
		b.ReportMetric(float64(median(used[kind]))/float64(median(used["without"])), unit)
	}
	b.ReportMetric(float64(median(took["upgrade"]))/float64(without), "upgrade-ratio")
	b.ReportMetric(float64(median(took["nothing"]))/float64(without), "nothing-to-load-ratio")
	b.ReportMetric(0, "ns/op") // most of which waits for the rate limit
}

// usedCPU is what the VM of a machine that has booted has used of the CPU, which the load of others changes less than the time.
func (w *world) usedCPU(id string) time.Duration {
	w.t.Helper()
	out, err := w.fleet.Exec(w.t.Context(), id, []string{"/bin/sh", "-c", `for p in /proc/[0-9]*; do read -r l < $p/stat && case $l in *"(beam.smp)"*) echo "${l##*) }" | cut -d ' ' -f 12,13;; esac; done`}, "", time.Minute)
	var user, system int64
	if _, scanned := fmt.Sscan(out.Stdout, &user, &system); err != nil || scanned != nil {
		w.t.Fatalf("%+v, %v, %v", out, err, scanned)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// pushWithoutPackage pushes version 1 with a package that does nothing.
func (w *world) pushWithoutPackage() string {
	w.t.Helper()
	release := filepath.Join(w.t.TempDir(), "release")
	if out, err := exec.CommandContext(w.t.Context(), "cp", "-a", countertest.Release(w.t, 1), release).CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	ebin, err := filepath.Glob(filepath.Join(release, "lib/fly_deploy-*/ebin"))
	if err != nil || len(ebin) != 1 {
		w.t.Fatalf("%v, %v", ebin, err)
	}
	for module, body := range map[string]string{
		"FlyDeploy":             "def startup_reapply_current(_), do: :ok\ndef current_vsn, do: nil\ndef subscribe, do: :ok",
		"FlyDeploy.Application": "def start(_, _), do: Supervisor.start_link([], strategy: :one_for_one)\ndef stop(_), do: :ok",
	} {
		if err := os.WriteFile(filepath.Join(ebin[0], "Elixir."+module+".beam"), compile(w.t, module, body), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	image, err := w.local.Push(w.t.Context(), release, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return image.Ref
}

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2]
}
