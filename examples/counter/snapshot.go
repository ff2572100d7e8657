package counter

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// Snapshot is the state of one machine at one moment. Processes are asked one after another, so under traffic only
// what traffic does not change belongs together: pids, shapes, code.
type Snapshot struct {
	Versions Versions
	Counters Counters // each of them included
	Task     Task
	Statem   Statem
	Agent    Agent
	Events   Events
	ETS      ETS
}

// Snapshot asks for everything that a later Compare wants to know.
func (c *Client) Snapshot(ctx context.Context) (Snapshot, error) {
	var s Snapshot
	var errs [7]error
	s.Versions, errs[0] = c.Versions(ctx)
	s.Counters, errs[1] = c.AllCounters(ctx)
	s.Task, errs[2] = c.Task(ctx)
	s.Statem, errs[3] = c.Statem(ctx)
	s.Agent, errs[4] = c.Agent(ctx)
	s.Events, errs[5] = c.Events(ctx)
	s.ETS, errs[6] = c.ETS(ctx)
	if err := errors.Join(errs[:]...); err != nil {
		return Snapshot{}, fmt.Errorf("snapshot: %w", err)
	}
	return s, nil
}

// Done is what traffic did to a machine between two snapshots. What was not acknowledged may have happened or not.
type Done struct {
	Increments            map[int]int64 // acknowledged, by the counter's number
	IncrementsUnconfirmed map[int]int64
	Sweeps                int64 // acknowledged
	SweepsUnconfirmed     int64
}

// Comparison says what became of a machine's processes, state and code between two snapshots.
type Comparison struct {
	Counters int `json:"counters"`
	// PidsUnchanged: every OTP process is the one that it was; the task, which cannot be upgraded, stands apart.
	PidsUnchanged bool `json:"pids_unchanged"`
	TaskUnchanged bool `json:"task_unchanged"`
	// CountsUnchanged: nothing was lost and nothing counted twice, up to exactly what traffic did.
	CountsUnchanged bool `json:"counts_unchanged"`
	// StatesMigrated counts the counters whose state has another shape than before, and fits the loaded struct.
	StatesMigrated int `json:"states_migrated"`
	// StatesFit: every state has exactly the fields of the struct that is loaded now.
	StatesFit bool `json:"states_fit"`
	// CodeUnchanged: the modules are those of before, byte for byte.
	CodeUnchanged bool   `json:"code_unchanged"`
	Version       string `json:"version"` // of the code loaded after
	// Problems tells in words what was found to differ and should not, the first few of each kind.
	Problems []string `json:"problems,omitempty"`
}

// problemsShown bounds how many problems of one kind a comparison tells.
const problemsShown = 5

// Compare compares two snapshots of one machine, taken before and after traffic that did done.
func Compare(before, after Snapshot, done Done) Comparison {
	pids, counts := comparePids(before, after), compareCounts(before, after, done)
	c := Comparison{
		Counters:        after.Counters.Number,
		PidsUnchanged:   len(pids) == 0,
		TaskUnchanged:   before.Task.PID == after.Task.PID,
		CountsUnchanged: len(counts) == 0,
		StatesFit:       after.Counters.InCurrentShape == after.Counters.Number,
		CodeUnchanged:   sameCode(before.Versions, after.Versions),
		Version:         after.Versions.Version,
		Problems:        append(first(pids), first(counts)...),
	}
	was := byNumber(before.Counters)
	for _, now := range after.Counters.Counters {
		if now.Shape != was[now.Number].Shape && now.Shape == after.Counters.CurrentShape {
			c.StatesMigrated++
		}
	}
	if !c.StatesFit {
		c.Problems = append(c.Problems, fmt.Sprintf("%d of %d states do not fit the loaded struct",
			after.Counters.Number-after.Counters.InCurrentShape, after.Counters.Number))
	}
	return c
}

func comparePids(before, after Snapshot) (problems []string) {
	same := func(name, was, is string) {
		if was != is {
			problems = append(problems, fmt.Sprintf("%s was %s and is %s", name, was, is))
		}
	}
	same("the gen_statem", before.Statem.PID, after.Statem.PID)
	same("the Agent", before.Agent.PID, after.Agent.PID)
	same("the gen_event", before.Events.PID, after.Events.PID)
	same("the table's owner", before.ETS.Owner, after.ETS.Owner)
	if was, is := before.Counters.Number, after.Counters.Number; was != is {
		problems = append(problems, fmt.Sprintf("there were %d counters and are %d", was, is))
	}
	now := byNumber(after.Counters)
	for _, was := range before.Counters.Counters {
		same(fmt.Sprintf("counter %d", was.Number), was.PID, now[was.Number].PID)
	}
	return problems
}

func compareCounts(before, after Snapshot, done Done) (problems []string) {
	within := func(name string, was, is, added, unconfirmed int64) {
		if is < was+added || is > was+added+unconfirmed {
			problems = append(problems, fmt.Sprintf("%s was %d, %d more were confirmed and %d not, and is %d",
				name, was, added, unconfirmed, is))
		}
	}
	now := byNumber(after.Counters)
	var milestones int64
	for _, was := range before.Counters.Counters {
		n := was.Number
		within(fmt.Sprintf("counter %d", n), was.Count, now[n].Count, done.Increments[n], done.IncrementsUnconfirmed[n])
		milestones += now[n].Count/10 - was.Count/10
	}
	within("the number of milestones", before.Events.Milestones, after.Events.Milestones, milestones, 0)
	within("the Agent's number of sweeps", before.Agent.Sweeps, after.Agent.Sweeps, done.Sweeps, done.SweepsUnconfirmed)
	within("the gen_statem's number of turns", before.Statem.Turns, after.Statem.Turns, 0, 0)
	if before.Statem.State != after.Statem.State {
		problems = append(problems, fmt.Sprintf("the gen_statem was %s and is %s", before.Statem.State, after.Statem.State))
	}
	return problems
}

// sameCode compares what is loaded; an old version that lingers beside it does not count.
func sameCode(before, after Versions) bool {
	return maps.EqualFunc(before.Modules, after.Modules, func(a, b Module) bool { return a.MD5 == b.MD5 })
}

func byNumber(c Counters) map[int]Counter {
	m := make(map[int]Counter, len(c.Counters))
	for _, counter := range c.Counters {
		m[counter.Number] = counter
	}
	return m
}

func first(problems []string) []string {
	if len(problems) > problemsShown {
		more := fmt.Sprintf("and %d more", len(problems)-problemsShown)
		return append(problems[:problemsShown:problemsShown], more)
	}
	return problems
}
