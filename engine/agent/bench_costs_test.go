package agent

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkWindowOfLargeStates compares, in one VM and interleaved, the window of 1,000 processes with small states and with 200
// of 2 MiB among them: a snapshot copies nothing.
func BenchmarkWindowOfLargeStates(b *testing.B) {
	pairs, _ := strconv.Atoi(env("BENCH_PAIRS", strconv.Itoa(benchPairs)))
	for b.Loop() {
		n := newBenchNode(b, "1000", "10")
		var added, small []float64
		for range pairs {
			n.evalWithin(benchPatience, `Bench.Servers.enlarge(200, 0)`)
			without := n.run(agentMethod).window
			n.evalWithin(benchPatience, `Bench.Servers.enlarge(200, 131_072)`)
			with := n.run(agentMethod).window
			added = append(added, inMS(with-without))
			small = append(small, inMS(without))
		}
		fmt.Printf("\n200 states of 2 MiB among 1,000: the window takes %.1f ms without, and with them %.1f ms more (medians of %d pairs)\n",
			median(small), median(added), pairs)
	}
}

// rollbackSizes are those of BenchmarkWindowRolledBack, as PROCESSESxMODULES; BENCH_ROLLBACKS chooses others.
const rollbackSizes = "10000x10 10000x200 100000x10 100000x200"

// BenchmarkWindowRolledBack lets one of many migrations fail, and compares what the rollback cost with what had been estimated.
func BenchmarkWindowRolledBack(b *testing.B) {
	for b.Loop() {
		for _, size := range strings.Fields(env("BENCH_ROLLBACKS", rollbackSizes)) {
			processes, modules, _ := strings.Cut(size, "x")
			n := newBenchNode(b, processes, modules)
			n.evalWithin(benchPatience, `Bench.Servers.spoil()`)
			s, done := n.fail()
			back, estimated := n.rollback(done), inMS(time.Duration(done.RollbackUS)*time.Microsecond)
			fmt.Printf("\none of %s migrations fails, %s modules: %d of them swapped; suspended %.0f ms, of which back %.0f ms, %.2f × the %.0f ms estimated\n",
				processes, modules, done.Counts.ModulesChanged-done.Deferred, inMS(time.Duration(done.SuspendedUS)*time.Microsecond), back, back/estimated, estimated)
			if err := s.Finish(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRollbackUnderCallers lets one of 20 migrations fail while 50 callers go through a changed module, again and again.
func BenchmarkRollbackUnderCallers(b *testing.B) {
	rollbacks, _ := strconv.Atoi(env("BENCH_PAIRS", strconv.Itoa(benchPairs)))
	for b.Loop() {
		n := startTraffic(b)
		n.eval(`Traffic.Tour.start(Traffic.Server, :server, 20)
			Traffic.Tour.callers(50, fn _ -> Traffic.Client.ask(:"server_#{:rand.uniform(20)}") end)`)
		var windows, backs []float64
		lost := 0
		for range rollbacks {
			done := n.run("raises", nil)
			if done.State != RolledBack {
				b.Fatalf("%s: %v", done.State, done.Failures)
			}
			windows, backs = append(windows, inMS(time.Duration(done.SuspendedUS)*time.Microsecond)), append(backs, n.rollback(done))
			lost += done.KilledTotal + done.Crashed
		}
		fmt.Printf("\n%d rollbacks under 50 callers: suspended %.1f ms, of which back %.1f ms (medians), longest call %.1f ms; %s callers ended, %d servers lost\n",
			rollbacks, median(windows), median(backs), inMS(n.duration(n.eval(`IO.puts(Traffic.Tour.longest())`))), n.show(`Traffic.Tour.ended()`), lost)
	}
}

// fail orders an upgrade that does not succeed.
func (n *benchNode) fail() (*Session, Status) {
	n.t.Helper()
	o := orderFor(n.t, "bench", n.tarballs[1].bytes)
	o.MaxSuspend = time.Minute // it is to fail by its migration
	s, staged := n.order(o)
	done := n.commit(s, staged)
	if done.State != RolledBack {
		n.t.Fatalf("%s: %v %v", done.State, done.Error, done.Failures)
	}
	return s, done
}

func (n *node) rollback(done Status) float64 {
	n.t.Helper()
	for _, p := range done.Phases {
		if p.Name == "rollback" {
			return inMS(time.Duration(p.US) * time.Microsecond)
		}
	}
	n.t.Fatalf("no rollback in %v", done.Phases)
	return 0
}

func inMS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
