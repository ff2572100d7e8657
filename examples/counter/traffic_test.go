package counter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

var testLoad = Load{Callers: 4, Rate: 50, Sweepers: 2, SweepOver: 300 * time.Millisecond}

// suspend suspends every counter for a while inside the VM, as an upgrade does, and prints the window.
const suspend = `
pids = for {_number, pid} <- Counter.all(), do: pid
from = System.os_time(:microsecond)
for pid <- pids, do: :sys.suspend(pid)
Process.sleep(%d)
for pid <- pids, do: :sys.resume(pid)
IO.puts("#{from} #{System.os_time(:microsecond)}")`

// Traffic goes on across suspensions: each of them has a call outstanding, nothing fails, nothing is lost.
func TestTrafficCoversSuspensions(t *testing.T) {
	m := start(t, 1, 500)
	before := must(m.Snapshot(t.Context()))(t)
	traffic := must(StartTraffic(t.Context(), []Target{{"m1", m.Client}}, testLoad))(t)
	var windows []Window
	for range 5 {
		windows = append(windows, window(t, m.rpc(t, fmt.Sprintf(suspend, 60))))
	}
	traffic.Stop()
	after := must(m.Snapshot(t.Context()))(t)

	report := traffic.Report(map[string][]Window{"m1": windows})
	machine := report.Machines["m1"]
	if !report.Covered || !machine.Covered || machine.Windows != 5 {
		t.Errorf("a window was not covered: %+v", report)
	}
	if report.Failed != 0 || report.Requests < 100 || report.MaxLatencyMS < 50 {
		t.Errorf("the report is %+v", report)
	}
	done := traffic.Done("m1")
	if c := Compare(before, after, done); !c.PidsUnchanged || !c.CountsUnchanged || !c.TaskUnchanged || !c.CodeUnchanged ||
		!c.StatesFit || c.StatesMigrated != 0 || len(c.Problems) != 0 {
		t.Errorf("the comparison is %+v", c)
	}
	var increments int64
	for _, n := range done.Increments {
		increments += n
	}
	if after.Counters.Sum-before.Counters.Sum != increments || increments == 0 || done.Sweeps == 0 {
		t.Errorf("the sum went from %d to %d by %d increments", before.Counters.Sum, after.Counters.Sum, increments)
	}
}

// A counter that is killed loses its count and its pid, and a connection that is cut fails requests: both show.
func TestLossesShow(t *testing.T) {
	m := start(t, 1, 50)
	must(m.Increment(t.Context(), 7))(t)
	before := must(m.Snapshot(t.Context()))(t)
	traffic := must(StartTraffic(t.Context(), []Target{{"m1", m.Client}}, testLoad))(t)
	m.rpc(t, `
		{:ok, pid} = Counter.fetch(7)
		Process.exit(pid, :kill)
		for pid <- Task.Supervisor.children(Counter.HTTP.Connections), do: Process.exit(pid, :kill)`)
	traffic.Stop()
	report := traffic.Report(nil)
	if machine := report.Machines["m1"]; machine.Failed == 0 || len(machine.Errors) == 0 || machine.Unconfirmed == 0 {
		t.Errorf("connections were cut and the report is %+v", report)
	}
	if report.Covered {
		t.Error("covered without a window")
	}
	c := Compare(before, must(m.Snapshot(t.Context()))(t), traffic.Done("m1"))
	if c.PidsUnchanged || c.CountsUnchanged || !strings.Contains(strings.Join(c.Problems, "\n"), "counter 7 ") {
		t.Errorf("counter 7 was killed and the comparison is %+v", c)
	}
}

func TestTrafficNeedsEveryMachine(t *testing.T) {
	refused := errors.New("refused")
	dial := func(context.Context) (net.Conn, error) { return nil, refused }
	_, err := StartTraffic(t.Context(), []Target{{"m1", NewClient(dial)}}, testLoad)
	if !errors.Is(err, refused) || !strings.Contains(err.Error(), "m1") {
		t.Errorf("got %v", err)
	}
}

// A machine that stops answering makes failed requests; nothing of them can have been carried out unseen.
func TestTrafficAtADeadMachine(t *testing.T) {
	m := start(t, 1, 10)
	traffic := must(StartTraffic(t.Context(), []Target{{"m1", m.Client}}, testLoad))(t)
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); traffic.Report(nil).Failed < 5; {
		if time.Now().After(deadline) {
			t.Fatal("no failures within 20 s of the machine's death")
		}
		time.Sleep(10 * time.Millisecond)
	}
	traffic.Stop()
	if report := traffic.Report(nil); len(report.Machines["m1"].Errors) != errorsKept {
		t.Errorf("the report is %+v", report)
	}
}

func window(t *testing.T, printed string) Window {
	t.Helper()
	var from, to int64
	if _, err := fmt.Sscan(printed, &from, &to); err != nil {
		t.Fatalf("no window in %q: %v", printed, err)
	}
	return Window{From: time.UnixMicro(from), To: time.UnixMicro(to)}
}
