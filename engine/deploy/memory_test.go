package deploy_test

import (
	"fmt"
	"math"
	"runtime"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

// held is what lives on the heap, in bytes: what the console holds, and what the stand-in of Fly and its agents holds in the same process.
type held struct{ console, standIn uint64 }

// heldNow collects garbage, and tells whose the rest is by where it was allocated. Before, runtime.MemProfileRate must have been small.
func heldNow() held {
	runtime.GC()
	runtime.GC() // the profile is of the last collection but one
	records := make([]runtime.MemProfileRecord, 20_000)
	n, ok := runtime.MemProfile(records, false)
	for !ok {
		records = make([]runtime.MemProfileRecord, n+n/4)
		n, ok = runtime.MemProfile(records, false)
	}
	var h held
	for _, r := range records[:n] {
		if r.InUseObjects() == 0 {
			continue
		}
		bytes := inAll(r)
		if isStandIn(r.Stack()) {
			h.standIn += bytes
		} else {
			h.console += bytes
		}
	}
	return h
}

// inAll gives the bytes in use where the record has those of a sample, as pprof does.
func inAll(r runtime.MemProfileRecord) uint64 {
	size := float64(r.InUseBytes()) / float64(r.InUseObjects())
	return uint64(float64(r.InUseBytes()) / (1 - math.Exp(-size/float64(runtime.MemProfileRate))))
}

func isStandIn(stack []uintptr) bool {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, "/agenttest.") || strings.Contains(frame.Function, "(*cloud).") || strings.Contains(frame.Function, ".heldNow") {
			return true
		}
		if !more {
			return false
		}
	}
}

// aLargeRelease has agents find what they find where much of an application changes: as much as a status tells.
func aLargeRelease(b *agenttest.Behaviour) {
	b.Modules, b.Processes, b.Findings = nil, nil, nil
	for i := range 40 {
		b.Modules = append(b.Modules, agent.Module{Module: fmt.Sprintf("Counter.Some.Context.Module%d", i), App: agenttest.App, Change: "changed",
			Functions: &engine.FunctionChanges{Changed: []string{"handle_call/3", "changed/2"}}})
		b.Processes = append(b.Processes, agent.Process{Module: fmt.Sprintf("Counter.Some.Context.Module%d", i), Kind: "gen_server", Count: i})
	}
	for i := range 6 {
		b.Findings = append(b.Findings, agent.Finding{Name: "state_kept", Severity: "info", Subject: fmt.Sprintf("Counter.Some.Context.Module%d", i),
			Detail: "its struct gains a field, and has a code_change/3 (303 running processes)", Processes: 303})
	}
}
