package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/examples/counter"
)

// Result is the result line of the demo: the deploy's, with what the outside saw of it.
type Result struct {
	engine.Result
	Machines []Machine      `json:"machines"` // in the place of Result.Machines
	Traffic  counter.Report `json:"traffic"`

	windows int // machines whose processes were suspended
}

// Machine adds what the machine's own endpoint told before and after.
type Machine struct {
	engine.MachineResult
	counter.Comparison
}

// answerWithin bounds how long a machine may take to tell what became of it.
const answerWithin = 30 * time.Second

// Judge ends the traffic and compares every machine with what it was before. A machine that does not answer any more is a
// problem of its own entry.
func (d *Demo) Judge(ctx context.Context, r engine.Result) Result {
	d.traffic.Stop()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	windows := map[string][]counter.Window{}
	result := Result{Result: r, Machines: make([]Machine, len(r.Machines))}
	var looking sync.WaitGroup
	for i, m := range r.Machines {
		looking.Go(func() { result.Machines[i] = Machine{m, d.compare(ctx, m.ID)} })
		if m.ResumedAtUS > 0 {
			windows[m.ID] = []counter.Window{{From: time.UnixMicro(m.SuspendedAtUS), To: time.UnixMicro(m.ResumedAtUS)}}
		}
	}
	looking.Wait()
	result.Traffic, result.windows = d.traffic.Report(windows), len(windows)
	return result
}

func (d *Demo) compare(ctx context.Context, id string) counter.Comparison {
	after, err := d.clients[id].Snapshot(ctx)
	if err != nil {
		why, _, _ := strings.Cut(err.Error(), "\n") // every question failed alike
		return counter.Comparison{Problems: []string{"it does not answer after the deploy: " + why}}
	}
	return counter.Compare(d.before[id], after, d.traffic.Done(id))
}

// Check tells what the outside saw of a successful deploy, and should not have.
func (r Result) Check() error {
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

// Print writes what the outside saw: a line for each machine, and one for the traffic.
func (r Result) Print(to io.Writer) error {
	out := &strings.Builder{}
	for _, m := range r.Machines {
		if m.Counters == 0 {
			fmt.Fprintf(out, "%s: %s\n", m.ID, strings.Join(m.Problems, "; "))
			continue
		}
		fmt.Fprintf(out, "%s: %d of %d states migrated, pids unchanged: %t, counts unchanged: %t\n",
			m.ID, m.StatesMigrated, m.Counters, m.PidsUnchanged, m.CountsUnchanged)
	}
	covered := "no process was suspended"
	if r.windows > 0 {
		covered = fmt.Sprintf("in every window: %t", r.Traffic.Covered)
	}
	fmt.Fprintf(out, "traffic: %d requests, %d failed, longest %.1f ms, %s\n",
		r.Traffic.Requests, r.Traffic.Failed, r.Traffic.MaxLatencyMS, covered)
	_, err := io.WriteString(to, out.String())
	return err
}
