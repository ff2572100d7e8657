package view

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// A record that could not be read is no record that names no upgrade.
func TestWhatAFleetRunsIsUnknownWhileItsRecordCannotBeRead(t *testing.T) {
	m := engine.Machine{ID: "a", State: engine.StateStarted, Image: "registry.fly.io/counter:deployment-1"}
	md := &engine.Metadata{ImageRef: m.Image, HotUpgrade: &engine.HotUpgrade{Version: "2.0.0"}}
	problem := engine.NewProblem("storage", "read the deployment metadata", errors.New("503 SlowDown"), "")
	for name, test := range map[string]struct {
		metadata      *engine.Metadata
		storage       *engine.Problem
		runs, upgrade string
	}{
		"nothing was upgraded yet":    {nil, nil, "image", "no hot upgrade yet"},
		"upgraded":                    {md, nil, "2.0.0 hot", "hot 2.0.0"},
		"the record cannot be read":   {nil, problem, "? unknown", "upgrade unknown"},
		"the lock alone was not read": {md, problem, "2.0.0 hot", "hot 2.0.0"},
	} {
		f := NewFleet(engine.Overview{Machines: []engine.Machine{m}, Metadata: test.metadata, Storage: test.storage}, nil)
		runs, upgrade := f.Runs(m).Text, strings.TrimSpace(cells.String([]cells.Line{f.Upgrade(time.Now())}))
		if runs != test.runs || upgrade != test.upgrade {
			t.Errorf("%s: runs %q, %q; want %q, %q", name, runs, upgrade, test.runs, test.upgrade)
		}
	}
}

func TestNoteOfAMachine(t *testing.T) {
	f := NewFleet(engine.Overview{}, nil)
	for want, m := range map[string]engine.Machine{
		"! host unknown":                    {HostStatus: "unknown", Cordoned: true},
		"! host unreachable":                {HostStatus: "unreachable"},
		"! leased by somebody (fly run)":    {HostStatus: "ok", Lease: engine.Lease{Description: "fly run", Until: time.Now()}, Cordoned: true},
		"! cordoned":                        {HostStatus: "ok", Cordoned: true},
		"it runs a test command":            {LeftOut: "it runs a test command", Cordoned: true},
		"the temporary machine of deploy 1": {Temporary: "1", Cordoned: true},
		"–":                                 {HostStatus: "ok"},
	} {
		if got := f.Note(m).Text; got != want {
			t.Errorf("%+v: %q, want %q", m, got, want)
		}
	}
}

// Of a machine that lags one sees whether it helps itself; of one that sleeps, what it will run.
func TestDriftTellsMachinesThatCatchUp(t *testing.T) {
	m := engine.Machine{ID: "a", State: engine.StateStarted, Image: "registry.fly.io/counter:deployment-1"}
	md := &engine.Metadata{ImageRef: m.Image, HotUpgrade: &engine.HotUpgrade{Version: "2.0.0"}}
	waits, failed := &engine.CatchUp{Outcome: "waiting"}, &engine.CatchUp{Outcome: "failed"}
	for _, c := range []struct {
		code  engine.MachineCode
		drift string
	}{
		{engine.MachineCode{Stale: true, Hook: engine.HookGaveUp}, "! boots its image"},
		{engine.MachineCode{Stale: true, Hook: engine.HookCalled}, "! stale code"},
		{engine.MachineCode{Stale: true, Hook: engine.HookCalled, CatchUp: failed}, "! stale code"},
		{engine.MachineCode{Stale: true, Hook: engine.HookCalled, CatchUp: waits}, "! catching up"},
		{engine.MachineCode{Applied: true, Hook: engine.HookCalled, CatchUp: waits}, "✓ none"},
		{engine.MachineCode{Applied: true, Hook: engine.HookCalled, Undone: []*engine.Problem{{Name: "child_not_started"}}}, "! child not started"},
		{engine.MachineCode{Applied: true, Hook: engine.HookCalled, Undone: []*engine.Problem{{Name: "config_not_taken"}}}, "! settings not taken"},
	} {
		f := NewFleet(engine.Overview{Machines: []engine.Machine{m}, Metadata: md}, map[string]Inspected{m.ID: {MachineCode: c.code}})
		if got := f.Drift(m).Text; got != c.drift {
			t.Errorf("%+v: %q, want %q", c.code, got, c.drift)
		}
	}
	f := NewFleet(engine.Overview{Machines: []engine.Machine{m}, Metadata: md}, nil)
	m.State = engine.StateSuspended
	if got := f.Runs(m).Text; got != "2.0.0 on wake" {
		t.Errorf("suspended: %q", got)
	}
}
