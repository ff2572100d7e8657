// Package contract says what every machine with a VM and an agent does, in words of package agent: the same scenarios
// run on real nodes and on what agenttest plays, so that the two cannot part.
package contract

import (
	"context"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// Machine is a machine whose VM runs version 1 of a release. An upgrade to version 2 goes well, the migrations of one to version 3
// from version 1 fail.
type Machine interface {
	Exec(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error)
	// Order makes an order for an upgrade to a version, with a new id and a place for its report.
	Order(version int) agent.Order
	// Command makes command folders of the agent with an order's id, in one moment: it sees them together.
	Command(id string, commands ...string)
	// Load loads other code into the VM for a module that version 2 changes, past the agent.
	Load()
	// Crash makes one process crash whose module version 2 changes. It is restarted, as it was started.
	Crash()
	// Busy keeps a process busy that version 2 migrates, until free is called.
	Busy() (free func())
	// MakeDir makes the folder in which the agent with an order's id would work.
	MakeDir(id string)
	// Report gives what was uploaded as the report of an order, nil for nothing.
	Report(id string) []byte
}

// Scenario is one thing that holds for a machine.
type Scenario struct {
	Name string
	Run  func(t testing.TB, m Machine)
}

// Group is scenarios that happen to one machine, one after the other.
type Group struct {
	Name      string
	Scenarios []Scenario
}

// Groups gives all scenarios. Each group needs a machine of its own.
func Groups() []Group {
	return []Group{
		{"nothing changes", []Scenario{
			{"the VM is found", discovers},
			{"settings and code are read", reads},
			{"another boot is gone", otherBootIsGone},
			{"staging ends as staged, and the status moves without news", stages},
			{"one upgrade at a time, until another deploy takes over", oneAtATime},
			{"an older deploy is kept out by a newer one", keepsOlderOut},
			{"abort ends it", aborts},
			{"abort beats commit", abortBeatsCommit},
			{"finish aborts first", finishAbortsFirst},
			{"a folder that is there is refused", refusesFolder},
			{"a tarball that is another is refused", refusesTarball},
			{"what waits for its console expires", expires},
			{"a failed migration is taken back", rollsBack},
			{"code that changes after staging is stale", isStale},
		}},
		{"commands that come twice or early", []Scenario{
			{"a commit that comes early waits for the arming", earlyCommitWaits},
			{"the same upgrade again does nothing", secondUpgradeDoesNothing},
		}},
		{"a busy process", []Scenario{{"it fails the upgrade, or is left out of it", leavesOutBusy}}},
		{"an upgrade", []Scenario{{"commands may be sent again, late ones are ignored", commits}}},
	}
}

// find gives the machine's VM, which is the same through all scenarios of a group.
func find(t testing.TB, m Machine) agent.VM {
	t.Helper()
	if vm, ok := found.Load(m); ok {
		return vm.(agent.VM)
	}
	vm := discover(t, m)
	found.Store(m, vm)
	return vm
}

var found sync.Map // agent.VM by Machine

func discover(t testing.TB, m Machine) agent.VM {
	t.Helper()
	vm, err := agent.Discover(t.Context(), m.Exec, engine.Release{})
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func inject(t testing.TB, m Machine, o agent.Order) *agent.Session {
	t.Helper()
	s, err := agent.Inject(t.Context(), m.Exec, find(t, m), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// await waits for a state, or for an end.
func await(t testing.TB, s *agent.Session, state agent.State, seen int64) agent.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		status, err := s.Wait(ctx, seen)
		if err != nil {
			t.Fatalf("waiting for %s: %v", state, err)
		}
		if status.Seq <= 0 || status.ID != s.ID() {
			t.Fatalf("a status of %q with seq %d", status.ID, status.Seq)
		}
		if status.State == state || status.State.Terminal() {
			return status
		}
		seen = status.Seq
	}
}

func expect(t testing.TB, got agent.Status, want agent.State) agent.Status {
	t.Helper()
	if got.State != want {
		t.Fatalf("the agent is %s instead of %s: %v", got.State, want, got.Error)
	}
	return got
}

func stage(t testing.TB, m Machine, o agent.Order) (*agent.Session, agent.Status) {
	t.Helper()
	s := inject(t, m, o)
	return s, expect(t, await(t, s, agent.Staged, 0), agent.Staged)
}

type command func(ctx context.Context, seen int64) (agent.Status, error)

// order gives a command and waits for what it leads to.
func order(t testing.TB, s *agent.Session, c command, seen int64, want agent.State) agent.Status {
	t.Helper()
	if _, err := c(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	return expect(t, await(t, s, want, 0), want)
}

func finish(t testing.TB, s *agent.Session) {
	t.Helper()
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A report under way is waited for.
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := s.Wait(t.Context(), 1<<62)
		if err != nil {
			gone(t, err)
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the agent does not end")
		}
	}
}

func code(t testing.TB, m Machine) agent.Code {
	t.Helper()
	c, err := agent.Loaded(t.Context(), m.Exec, find(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if c.Fingerprint == "" || c.Modules == 0 {
		t.Fatalf("loaded code: %+v", c)
	}
	return c
}
