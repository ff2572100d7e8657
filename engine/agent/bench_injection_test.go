package agent

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkInjectionToArmed tells what a small VM gives for an upgrade before anything is suspended: CPU time and memory from the
// injection to armed, the first time and the second.
func BenchmarkInjectionToArmed(b *testing.B) {
	for b.Loop() {
		n := startRelease(b, "ledger", releases[1])
		for _, which := range []string{"first", "second"} {
			n.eval(`for pid <- Process.list(), do: :erlang.garbage_collect(pid); IO.puts("done")`)
			cpu, resident, memory := n.cpu(), n.status("VmRSS"), n.memory()
			s, err := Inject(b.Context(), n.realExec, n.vm, orderOf(b, tarballOf(b, 2).bytes))
			if err != nil {
				b.Fatal(err)
			}
			started := n.cpu()
			staged := n.await(s, Staged)
			compared := n.cpu()
			armed := n.arm(s, staged)
			if armed.State != Armed {
				b.Fatalf("%s: %v", armed.State, armed.Error)
			}
			fmt.Printf("\n%s upgrade, from injection to armed: %v of CPU (%v to start, %v to staged), resident memory %+.1f MB (most ever %.1f MB), the VM's own %+.1f MB\n",
				which, n.cpu()-cpu, started-cpu, compared-started, n.status("VmRSS")-resident, n.status("VmHWM"), n.memory()-memory)
			if testing.Verbose() {
				fmt.Println(armed.Phases)
			}
			if err := s.Finish(b.Context()); err != nil {
				b.Fatal(err)
			}
			n.awaitGone()
		}
	}
}

// cpu is the time that the VM has computed, in hundredths of a second.
func (n *node) cpu() time.Duration {
	n.t.Helper()
	stat, err := os.ReadFile("/proc/" + n.vm.PID + "/stat")
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// status gives a field of the VM's /proc/PID/status in MB.
func (n *node) status(field string) float64 {
	n.t.Helper()
	text, err := os.ReadFile("/proc/" + n.vm.PID + "/status")
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), field+":")
	kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb / 1000
}

func (n *node) memory() float64 {
	n.t.Helper()
	bytes, _ := strconv.ParseFloat(n.eval(`IO.puts(:erlang.memory(:total))`), 64)
	return bytes / 1e6
}
