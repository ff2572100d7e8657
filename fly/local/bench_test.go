package local

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"flydeploy/fly/local/run"
)

// BenchmarkFleet brings up six machines of the sample application, until all of them answer. It reports the machines'
// memory: the sum of their proportional set sizes (where the computer tells them) and this process's own.
func BenchmarkFleet(b *testing.B) {
	for _, isolation := range []Isolation{Namespaces, Processes} {
		b.Run(string(isolation), func(b *testing.B) {
			if err := isolation.Works(); err != nil {
				b.Skip(err)
			}
			release, err := sampleRelease()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				b.StopTimer()
				f, err := Start(b.Context(), Options{App: "sample", StateDir: b.TempDir(), Isolation: isolation})
				if err != nil {
					b.Fatal(err)
				}
				image, err := f.Push(b.Context(), release, "")
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				start := time.Now()
				ids, err := launchMany(b.Context(), f, image.Ref, 6)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(time.Since(start).Seconds(), "s-to-six")
				megabytes := 0
				for _, id := range ids {
					for pid := range run.Marked("FLY_MACHINE_ID=" + id) {
						megabytes += proportionalSize(pid) / 1024
					}
				}
				b.ReportMetric(float64(megabytes), "machines-MB")
				b.ReportMetric(float64(proportionalSize(os.Getpid())/1024), "own-MB")
				start = time.Now()
				if err := f.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(start).Seconds(), "s-to-close")
				b.StartTimer()
			}
		})
	}
}

func launchMany(ctx context.Context, f *Fly, image string, n int) ([]string, error) {
	ids := make([]string, n)
	group, ctx := errgroup.WithContext(ctx)
	for i := range ids {
		group.Go(func() (err error) {
			if ids[i], err = f.Launch(ctx, MachineSpec{Image: image}); err != nil {
				return err
			}
			m, _ := f.machines.Get(ids[i])
			return f.machines.AwaitPort(ctx, m.ID(), 8080)
		})
	}
	return ids, group.Wait()
}

// proportionalSize is a process's share of memory in KB, by proc(5)'s smaps_rollup; 0 where there is none.
func proportionalSize(pid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if size, ok := strings.CutPrefix(line, "Pss:"); ok {
			kilobytes, _ := strconv.Atoi(strings.Fields(size)[0])
			return kilobytes
		}
	}
	return 0
}
