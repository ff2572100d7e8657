package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"flydeploy/engine"
	"flydeploy/examples/counter"
)

// demoResult is the result line of the demo: the deploy's, with what the outside saw of it.
type demoResult struct {
	engine.Result
	Machines []demoMachine  `json:"machines"` // in the place of Result.Machines
	Traffic  counter.Report `json:"traffic"`

	windows int // machines whose processes were suspended
}

// demoMachine adds what the machine's own endpoint told before and after.
type demoMachine struct {
	engine.MachineResult
	counter.Comparison
}

// judge ends the traffic and compares every machine with what it was before.
func (d *demo) judge(ctx context.Context, r engine.Result) (demoResult, error) {
	d.traffic.Stop()
	windows := map[string][]counter.Window{}
	result := demoResult{Result: r, Machines: []demoMachine{}}
	for _, m := range r.Machines {
		after, err := d.clients[m.ID].Snapshot(ctx)
		if err != nil {
			return result, fmt.Errorf("machine %s after the deploy: %w", m.ID, err)
		}
		result.Machines = append(result.Machines, demoMachine{m, counter.Compare(d.before[m.ID], after, d.traffic.Done(m.ID))})
		if m.ResumedAtUS > 0 {
			windows[m.ID] = []counter.Window{{From: time.UnixMicro(m.SuspendedAtUS), To: time.UnixMicro(m.ResumedAtUS)}}
		}
	}
	result.Traffic, result.windows = d.traffic.Report(windows), len(windows)
	return result, nil
}

// end is the deploy's outcome, or what the outside saw and should not have.
func (r demoResult) end() error {
	if err := outcomeOf(r.Result); err != nil {
		return err
	}
	for _, m := range r.Machines {
		if !m.PidsUnchanged || !m.CountsUnchanged || !m.StatesFit {
			return fmt.Errorf("machine %s is not what it should be: %v", m.ID, m.Problems)
		}
	}
	if r.Traffic.Failed > 0 {
		return fmt.Errorf("%d of %d requests failed", r.Traffic.Failed, r.Traffic.Requests)
	}
	if r.windows > 0 && !r.Traffic.Covered {
		return errors.New("the traffic proves nothing: no call was outstanding across the whole window of every machine")
	}
	return nil
}

func (r demoResult) print(out io.Writer) {
	for _, m := range r.Machines {
		fmt.Fprintf(out, "%s: %d of %d states migrated, pids unchanged: %t, counts unchanged: %t\n",
			m.ID, m.StatesMigrated, m.Counters, m.PidsUnchanged, m.CountsUnchanged)
	}
	fmt.Fprintf(out, "traffic: %d requests, %d failed, longest %.1f ms, in every window: %t\n",
		r.Traffic.Requests, r.Traffic.Failed, r.Traffic.MaxLatencyMS, r.Traffic.Covered)
}
