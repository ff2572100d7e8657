package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// planAgents are Agents with a map of 2,000 keys each.
const planAgents = `for _ <- 1..500, do: Agent.start(fn -> Map.new(1..2_000, &{&1, {:value, &1}}) end)
	IO.puts("done")`

// BenchmarkPlan tells what a plan takes from a VM with 10,000 processes, 3,000 modules, of which 200 change, and 500 Agents with maps of 2,000 keys:
// its time, the CPU beyond what the VM uses anyway, and the p99.9 of a steady caller, beside that of the same VM left alone; with
// and without a rehearsal, and the memory of the rehearsal's VM.
func BenchmarkPlan(b *testing.B) {
	for b.Loop() {
		base, other := planRelease("0"), planRelease("200")
		n := startRelease(b, "bench", base, "BENCH_PROCESSES="+env("BENCH_PROCESSES", "10000"))
		n.evalWithin(benchPatience, planAgents)
		tarball := makeTarball(b, "bench", other)
		for _, rehearse := range []bool{false, true} {
			n.comparePlan(b, tarball, rehearse)
		}
	}
}

func planRelease(changed string) string {
	build := filepath.Join(testFolder, "plan-"+changed)
	return buildRelease("bench", build, "BENCH_CHANGED="+changed, "BENCH_FILLERS=2800", "BENCH_BUILD="+build)
}

func (n *node) comparePlan(b *testing.B, tarball madeTarball, rehearse bool) {
	rounds, _ := strconv.Atoi(env("BENCH_PAIRS", "3"))
	var took, stolen, quiet, busy, scratch []float64
	for range rounds {
		alone, cpuAlone, span := n.quietly(10 * time.Second)
		n.eval(`Bench.Client.start()`)
		o := orderFor(b, "bench", tarball.bytes)
		o.Rehearse = rehearse
		most := make(chan float64)
		stop := make(chan bool)
		go func() { most <- largestChild(n.vm.PID, stop) }()
		cpu, from := n.cpu(), time.Now()
		s, staged := n.order(o)
		whole := time.Since(from)
		spent := n.cpu() - cpu
		stop <- true
		calls := n.calls()
		if staged.State != Staged {
			b.Fatalf("%s: %v", staged.State, staged.Error)
		}
		took = append(took, whole.Seconds())
		stolen = append(stolen, spent.Seconds()-cpuAlone.Seconds()*whole.Seconds()/span.Seconds())
		quiet, busy = append(quiet, alone), append(busy, calls)
		scratch = append(scratch, <-most)
		if _, err := s.Abort(b.Context(), staged.Seq); err != nil {
			b.Fatal(err)
		}
		_ = s.Finish(b.Context())
		n.awaitGone()
	}
	fmt.Printf("\na plan (rehearsal: %t): %.1f s, of them %.1f s of CPU; p99.9 of calls %.1f ms, left alone %.1f ms (%.1f ×); the scratch VM at most %.0f MB; medians of %d\n",
		rehearse, median(took), median(stolen), median(busy), median(quiet), median(busy)/median(quiet), median(scratch), rounds)
}

// quietly gives the caller's p99.9 in milliseconds, and the CPU that the VM used, while nothing is planned.
func (n *node) quietly(span time.Duration) (p999 float64, cpu, took time.Duration) {
	n.eval(`Bench.Client.start()`)
	before, from := n.cpu(), time.Now()
	time.Sleep(span)
	return n.calls(), n.cpu() - before, time.Since(from)
}

func (n *node) calls() float64 {
	return inMS(n.duration(n.eval(`calls = Bench.Client.stop(); IO.puts(Enum.at(calls, trunc(length(calls) * 0.999)))`)))
}

// largestChild gives the most private memory, in MB, that a VM below a process had until it is stopped.
func largestChild(pid string, stop chan bool) float64 {
	most := 0.0
	for {
		select {
		case <-stop:
			return most
		case <-time.After(20 * time.Millisecond):
			for _, child := range below(pid) {
				name, _ := os.ReadFile("/proc/" + child + "/comm")
				if strings.HasPrefix(string(name), "beam") {
					text, _ := os.ReadFile("/proc/" + child + "/status")
					_, rest, _ := strings.Cut(string(text), "RssAnon:")
					if fields := strings.Fields(rest); len(fields) > 0 {
						kb, _ := strconv.ParseFloat(fields[0], 64)
						most = max(most, kb/1000)
					}
				}
			}
		}
	}
}

func below(pid string) []string {
	text, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	children := strings.Fields(string(text))
	for _, child := range slices.Clone(children) {
		children = append(children, below(child)...)
	}
	return children
}
