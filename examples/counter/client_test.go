package counter

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// Each version is built from the embedded source, started, and asked for everything it answers.
func TestVersions(t *testing.T) {
	for version := 1; version <= 3; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			m := start(t, version, 50)
			checkVersions(t, m, version)
			checkCounters(t, m, version)
			checkKinds(t, m, version)
		})
	}
}

func checkVersions(t *testing.T, m *machine, version int) {
	t.Helper()
	if err := m.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := must(m.Versions(t.Context()))(t)
	want := fmt.Sprintf("%d.0.0", version)
	if v.Version != want || v.StartedVersion != want || v.Static != "counter "+want {
		t.Errorf("version %q, started %q, static %q; want %s", v.Version, v.StartedVersion, v.Static, want)
	}
	if server := v.Modules["Counter.Server"]; server.VSN != fmt.Sprint(version) || len(server.MD5) != 32 || server.OldCode {
		t.Errorf("Counter.Server is %+v", server)
	}
	if _, has := v.Modules["Counter.Milestone"]; has != (version > 1) {
		t.Errorf("version %d has Counter.Milestone: %v", version, has)
	}
	if v.OTPRelease == "" || v.Elixir == "" || v.Node == "" {
		t.Errorf("runtime is missing in %+v", v)
	}
}

func checkCounters(t *testing.T, m *machine, version int) {
	t.Helper()
	before := must(m.AllCounters(t.Context()))(t)
	if count := must(m.Increment(t.Context(), 50))(t); count != 1 {
		t.Errorf("the first increment gave %d", count)
	}
	after := must(m.AllCounters(t.Context()))(t)
	if after.Number != 50 || len(after.Counters) != 50 || after.Sum != 1 || after.SumOfShapes != int64(50*version) ||
		after.Shapes[fmt.Sprint(version)] != 50 || after.CurrentShape != version || after.InCurrentShape != 50 {
		t.Errorf("counters are %+v", after)
	}
	if after.PidsChecksum != before.PidsChecksum || after.CountsChecksum == before.CountsChecksum {
		t.Errorf("checksums were %s, %s and are %s, %s", before.PidsChecksum, before.CountsChecksum, after.PidsChecksum,
			after.CountsChecksum)
	}
	if last := after.Counters[49]; last.Number != 50 || last.Count != 1 || last.PID == "" || last.Shape != version {
		t.Errorf("the last counter is %+v", last)
	}
	if sweep := must(m.Sweep(t.Context(), 0))(t); sweep != (Sweep{Counters: 50, Total: 1}) {
		t.Errorf("the sweep gave %+v", sweep)
	}
	var status *StatusError
	if _, err := m.Increment(t.Context(), 51); !errors.As(err, &status) || status.Code != 404 {
		t.Errorf("incrementing a counter that is not there: %v", err)
	}
}

func checkKinds(t *testing.T, m *machine, version int) {
	t.Helper()
	if task := must(m.Task(t.Context()))(t); task.PID == "" || task.Version != version || task.Stray != 0 {
		t.Errorf("the task is %+v", task)
	}
	must(m.Turn(t.Context()))(t)
	shape := min(version, 2) // version 3 leaves gen_statem and gen_event as they are in version 2
	if statem := must(m.Statem(t.Context()))(t); statem.State != "open" || statem.Turns != 1 || statem.Shape != shape {
		t.Errorf("the gen_statem is %+v", statem)
	}
	if agent := must(m.Agent(t.Context()))(t); agent.PID == "" || agent.Sweeps != 1 {
		t.Errorf("the Agent is %+v", agent)
	}
	if events := must(m.Events(t.Context()))(t); events.PID == "" || events.Shape != shape || events.Milestones != 0 {
		t.Errorf("the gen_event is %+v", events)
	}
	if ets := must(m.ETS(t.Context()))(t); ets.Owner == "" || ets.Hits["sweep"] != 1 {
		t.Errorf("the table is %+v", ets)
	}
	protocol := must(m.Protocol(t.Context()))(t)
	if slices.Contains(protocol.Implementations, "Counter.Milestone") != (version > 1) || protocol.State == "" {
		t.Errorf("the protocol is %+v", protocol)
	}
}

func TestRestartedTaskIsAnother(t *testing.T) {
	m := start(t, 1, 1)
	before := must(m.Task(t.Context()))(t)
	restarted := must(m.RestartTask(t.Context()))(t)
	if restarted.PID == before.PID {
		t.Errorf("the task is still %s", before.PID)
	}
}

func TestSweepTakesItsTime(t *testing.T) {
	m := start(t, 1, 100)
	started := time.Now()
	must(m.Sweep(t.Context(), 200*time.Millisecond))(t)
	if took := time.Since(started); took < 200*time.Millisecond {
		t.Errorf("a sweep over 200 ms took %s", took)
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
