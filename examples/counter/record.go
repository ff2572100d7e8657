package counter

import (
	"sync"
	"time"
)

// errorsKept bounds the texts of failures kept of each machine, and sweepsKept the sweeps: at DefaultLoad more than an hour.
const (
	errorsKept = 5
	sweepsKept = 4096
)

// Window is the time in which a machine's processes were suspended, by the clock that traffic runs on.
type Window struct{ From, To time.Time }

// Report is what traffic saw.
type Report struct {
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
	// MaxLatencyMS is the longest increment; sweeps take their time by design.
	MaxLatencyMS float64 `json:"max_latency_ms"`
	// Covered: there were windows, and across the whole of each a call to its machine was outstanding.
	Covered  bool                     `json:"covered"`
	Machines map[string]MachineReport `json:"machines"`
}

// MachineReport is what traffic saw of one machine.
type MachineReport struct {
	Requests     int64    `json:"requests"`
	Failed       int64    `json:"failed"`
	Unconfirmed  int64    `json:"unconfirmed"` // failed requests that may have been carried out
	MaxLatencyMS float64  `json:"max_latency_ms"`
	Windows      int      `json:"windows"`
	Covered      bool     `json:"covered"`
	Errors       []string `json:"errors,omitempty"` // the first few
}

// Report gives what traffic saw so far, and whether it was there in each machine's windows. Calls under way are not
// in it, so ask after Stop.
func (t *Traffic) Report(windows map[string][]Window) Report {
	report := Report{Covered: len(windows) > 0, Machines: make(map[string]MachineReport, len(t.machines))}
	for id := range windows {
		if _, ok := t.machines[id]; !ok {
			report.Covered = false
		}
	}
	for id, record := range t.machines {
		machine := record.report(windows[id])
		report.Machines[id] = machine
		report.Requests += machine.Requests
		report.Failed += machine.Failed
		report.MaxLatencyMS = max(report.MaxLatencyMS, machine.MaxLatencyMS)
		if len(windows[id]) > 0 && !machine.Covered {
			report.Covered = false
		}
	}
	return report
}

// Done gives what traffic did to one machine. Ask after Stop.
func (t *Traffic) Done(machine string) Done {
	if record, ok := t.machines[machine]; ok {
		return record.done
	}
	return Done{}
}

// record collects the outcomes of one machine's calls. Its memory is bounded whatever the traffic's length.
type record struct {
	mu         sync.Mutex
	requests   int64
	failed     int64
	maxLatency time.Duration
	errors     []string
	done       Done
	sweeps     []Window // ring of sweeps that were answered
	nextSweep  int
}

func newRecord() *record {
	return &record{done: Done{Increments: map[int]int64{}, IncrementsUnconfirmed: map[int]int64{}}}
}

func (r *record) increment(number int, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maxLatency = max(r.maxLatency, o.ended.Sub(o.started))
	switch r.count(o); {
	case o.err == nil:
		r.done.Increments[number]++
	case o.sent:
		r.done.IncrementsUnconfirmed[number]++
	}
}

func (r *record) sweep(o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.count(o); {
	case o.err == nil:
		r.done.Sweeps++
		r.keep(Window{o.started, o.ended})
	case o.sent:
		r.done.SweepsUnconfirmed++
	}
}

func (r *record) count(o outcome) {
	r.requests++
	if o.err == nil {
		return
	}
	r.failed++
	if len(r.errors) < errorsKept {
		r.errors = append(r.errors, o.err.Error())
	}
}

func (r *record) keep(sweep Window) {
	if len(r.sweeps) < sweepsKept {
		r.sweeps = append(r.sweeps, sweep)
		return
	}
	r.sweeps[r.nextSweep] = sweep
	r.nextSweep = (r.nextSweep + 1) % sweepsKept
}

func (r *record) report(windows []Window) MachineReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := MachineReport{
		Requests:     r.requests,
		Failed:       r.failed,
		Unconfirmed:  r.done.SweepsUnconfirmed,
		MaxLatencyMS: float64(r.maxLatency.Microseconds()) / 1000,
		Windows:      len(windows),
		Covered:      len(windows) > 0,
		Errors:       append([]string(nil), r.errors...),
	}
	for _, n := range r.done.IncrementsUnconfirmed {
		m.Unconfirmed += n
	}
	for _, window := range windows {
		m.Covered = m.Covered && r.covers(window)
	}
	return m
}

// covers reports whether one answered sweep was outstanding from before the window's begin until after its end.
func (r *record) covers(window Window) bool {
	for _, sweep := range r.sweeps {
		if !sweep.From.After(window.From) && !sweep.To.Before(window.To) {
			return true
		}
	}
	return false
}
