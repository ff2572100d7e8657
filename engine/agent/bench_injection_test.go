package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// injections is how many VMs BenchmarkInjectionToArmed starts; BENCH_PAIRS chooses another number.
const injections = 5

// BenchmarkInjectionToArmed tells what a small VM gives for an upgrade before anything is suspended: CPU time and memory from the
// injection to armed, the first time and the second. What the VM would have taken in that time without one is not counted. The VM that
// bin/NAME starts for the injection is told by itself: it takes its time on the same machine, but is not the application's.
func BenchmarkInjectionToArmed(b *testing.B) {
	rounds, _ := strconv.Atoi(env("BENCH_PAIRS", strconv.Itoa(injections)))
	for b.Loop() {
		taken := [2][5][]float64{}
		for range rounds {
			n := startRelease(b, "ledger", releases[1])
			// A process of the ledger that wakes fifty times a second.
			n.eval(`Task.Supervisor.terminate_child(Ledger.Tasks, Process.whereis(Ledger.Pulse)); IO.puts("done")`)
			for i := range taken {
				for j, value := range n.injectionToArmed(b) {
					taken[i][j] = append(taken[i][j], value)
				}
			}
			n.kill()
		}
		for i, which := range []string{"first", "second"} {
			var m [5]float64
			for j, values := range taken[i] {
				m[j] = median(values)
			}
			fmt.Printf("\n%s upgrade, from injection to armed: %.0f ms of CPU (%.0f ms to start, %.0f ms to staged), memory %+.1f MB; the VM of its rpc %.0f ms (medians of %d)\n",
				which, m[0], m[1], m[2], m[3], m[4], rounds)
		}
	}
}

// injectionToArmed gives the milliseconds of CPU of an upgrade, those until the agent had started, and from then until it had staged,
// the megabytes that the VM holds more when it is armed, and the milliseconds of the rpc's VM.
func (n *node) injectionToArmed(b *testing.B) [5]float64 {
	b.Helper()
	n.eval(`for pid <- Process.list(), do: :erlang.garbage_collect(pid); IO.puts("done")`)
	memory, idle := n.memory(), n.cpu()
	time.Sleep(time.Second)
	idle = n.cpu() - idle
	from, cpu := time.Now(), n.cpu()
	spent := func() float64 { return inMS(n.cpu()-cpu) - time.Since(from).Seconds()*inMS(idle) }
	rpc := ofChildren(b)
	s, err := Inject(b.Context(), n.realExec, n.vm, orderOf(b, tarballOf(b, 2).bytes))
	if err != nil {
		b.Fatal(err)
	}
	rpc = ofChildren(b) - rpc
	started := spent()
	staged := n.await(s, Staged)
	compared := spent()
	armed := n.arm(s, staged)
	if armed.State != Armed {
		b.Fatalf("%s: %v", armed.State, armed.Error)
	}
	whole := spent()
	memory = n.memory() - memory
	if err := s.Finish(b.Context()); err != nil {
		b.Fatal(err)
	}
	n.awaitGone()
	return [5]float64{whole, started, compared - started, memory, inMS(rpc)}
}

// ofChildren is the time that commands have computed which have ended.
func ofChildren(t testing.TB) time.Duration {
	t.Helper()
	var all syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &all); err != nil {
		t.Fatal(err)
	}
	return time.Duration(all.Utime.Nano() + all.Stime.Nano())
}

// cpu is the time that the VM has computed.
func (n *node) cpu() time.Duration {
	n.t.Helper()
	threads, _ := filepath.Glob("/proc/" + n.vm.PID + "/task/*/schedstat")
	var sum time.Duration
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			n.t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, _ := strconv.Atoi(first)
		sum += time.Duration(ns)
	}
	return sum
}

func (n *node) memory() float64 {
	n.t.Helper()
	bytes, _ := strconv.ParseFloat(n.eval(`IO.puts(:erlang.memory(:total))`), 64)
	return bytes / 1e6
}
