package agenttest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// statusBytes is what a status takes at most.
const statusBytes = 8_000

// encodeStatus cuts lists until the status is small enough, first those of functions.
func encodeStatus(s agent.Status) string {
	for limit, functions := 200, 40; ; {
		cut := s
		cut.Modules, cut.Processes = cutFunctions(head(s.Modules, limit), functions), head(s.Processes, limit)
		cut.Findings, cut.Failures = head(s.Findings, max(limit, 5)), head(s.Failures, min(20, max(limit, 1)))
		cut.Killed = head(s.Killed, 20)
		if text := toJSON(cut); len(text) <= statusBytes || limit == 0 {
			return text
		}
		if functions > 0 {
			functions /= 2
		} else {
			limit /= 2
		}
	}
}

// cutFunctions keeps at most `most` functions of each kind in each module.
func cutFunctions(modules []agent.Module, most int) []agent.Module {
	all := slices.Clone(modules)
	for i, m := range all {
		if f := m.Functions; f != nil {
			cut := &engine.FunctionChanges{Added: head(f.Added, most), Changed: head(f.Changed, most), Removed: head(f.Removed, most)}
			cut.More = f.Total() - cut.Total()
			all[i].Functions = cut
		}
	}
	return all
}

func head[T any](all []T, n int) []T { return all[:min(n, len(all))] }

// window is what tells of a window: its status.
func (a *process) tellWindow(b *Behaviour, begun time.Time) {
	s := &a.next
	suspended := time.Duration(max(b.SuspendedUS, 10)) * time.Microsecond
	resumed := time.Now()
	if begun.Add(suspended).After(resumed) {
		resumed = begun.Add(suspended)
	}
	s.SuspendedAtUS, s.ResumedAtUS = resumed.Add(-suspended).UnixMicro(), resumed.UnixMicro()
	s.SuspendedUS = s.ResumedAtUS - s.SuspendedAtUS
	s.Suspended, s.Died = s.Counts.Processes, b.Died
	s.Phases = append(s.Phases, windowPhases(b, s.SuspendedAtUS, s.SuspendedUS)...)
	s.Failures = b.Failures
	if b.Outcome == agent.Committed {
		s.Migrated, s.Views, s.Unplaced, s.Error = s.Counts.Migrating, b.Views, b.Unplaced, b.Error
	} else {
		s.Killed = b.Killed
	}
	if len(s.Failures) == 0 && b.Outcome != agent.Committed {
		s.Failures = []agent.Failure{usualFailure(b.Outcome)}
	}
	s.FailuresTotal = 0
	for _, f := range s.Failures {
		s.FailuresTotal += max(f.Count, 1)
	}
}

// windowPhases divides the window as agents do: the last of it resumes.
func windowPhases(b *Behaviour, at, us int64) []agent.Phase {
	failed := map[agent.State]map[string]bool{
		agent.RolledBack: {"migration": true}, agent.RolledBackWithLosses: {"migration": true}, agent.Failed: {"suspension": true},
	}[b.Outcome]
	names := map[agent.State][]string{
		agent.Committed: {"suspension", "code_load", "migration", "resume"}, agent.Failed: {"suspension", "resume"},
	}[b.Outcome]
	if names == nil {
		names = []string{"suspension", "code_load", "migration", "rollback", "resume"}
	}
	var phases []agent.Phase
	each := us / int64(len(names))
	for _, name := range names {
		p := agent.Phase{Name: name, AtUS: at, US: each, Status: "done"}
		if failed[name] {
			p.Status = "failed"
		}
		phases = append(phases, p)
		at += each
	}
	if b.Views > 0 && b.Outcome == agent.Committed {
		return append(phases, agent.Phase{Name: "liveview", AtUS: at, US: 100, Status: "done"})
	}
	return append(phases, agent.Phase{Name: "liveview", Status: "skipped"})
}

func usualFailure(outcome agent.State) agent.Failure {
	f := agent.Failure{
		PID: "#PID<0.300.0>", Module: "Counter.Tally", Reason: "raised", Exception: "** (RuntimeError) the tally cannot be migrated",
		Stack: []string{"lib/counter/tally.ex:21: Counter.Tally.code_change/3"}, StateBefore: "%{id: integer, n: integer}", Count: 1,
	}
	if outcome == agent.Failed {
		f.Reason, f.Exception, f.Stack, f.StateBefore = "busy", "did not suspend within 250 ms", nil, ""
	}
	return f
}

// report uploads what failed.
func (a *process) report() {
	b := a.world.behaviourOf(a.machine)
	if a.next.Report = b.ReportError; a.next.Report == "" {
		body, _ := json.Marshal(map[string]any{ // never fails
			"v": 1, "id": a.order.id, "boot": a.vm.boot(), "outcome": b.Outcome, "suspended": a.next.Suspended, "killed": a.next.Killed,
			"failures": a.next.Failures, "failures_total": a.next.FailuresTotal,
		})
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(body)
		_ = z.Close()
		a.next.Report = agent.ReportStored
		if status := a.world.bucket.put(a.order.reportURL, nil, object{body: packed.Bytes(), size: int64(packed.Len())}); status != 200 {
			a.next.Report = "the storage answered " + toJSON(status)
		}
	}
	a.publish()
}
