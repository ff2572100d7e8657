package agenttest

import (
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// Behaviour is what an agent finds and does. It is looked at when it is needed, so that a test may change it meanwhile.
type Behaviour struct {
	// How long the agent takes to stage, arm, commit (the window) and upload its report.
	Stages, Arms, Commits, Reports time.Duration

	// What staging finds, where the VM does not run the upgrade already.
	Counts     agent.Counts
	Modules    []agent.Module
	Processes  []agent.Process
	Findings   []agent.Finding
	Rehearsed  []agent.Finding // besides, where the order asks for a rehearsal
	RollbackUS int64

	// StageError and ArmError end staging and arming as failed.
	StageError, ArmError *agent.Error
	// Stale says that arming, StaleAtCommit that the commit finds other code than staging has.
	Stale, StaleAtCommit bool

	// Outcome of the window: agent.Committed, RolledBack, RolledBackWithLosses or Failed (would not suspend).
	Outcome     agent.State
	SuspendedUS int64
	// Busy: a process does not suspend in time. The window fails, or leaves it out where the order says so.
	Busy     bool
	Failures []agent.Failure // one is made up where there is none, and the outcome is not committed
	// FailsBack: an upgrade cannot be taken back with all states.
	FailsBack bool
	Killed    []string
	Died      int
	Views     int
	Queues    []agent.Queue // mailboxes that grow after the commit
	// Supervisors come near their restart limits after the commit.
	Supervisors []agent.Supervisor
	Vitals      *agent.Vitals // at all times; nil for an agent that tells none
	Unplaced    []string      // files
	Error       *agent.Error  // what is wrong after a commit
	// ReportError is why the report does not reach the bucket; "": it does.
	ReportError string
}

// usualBehaviour is the behaviour of a new world's agents: an upgrade of 6 modules and 303 processes that nothing troubles.
func usualBehaviour() Behaviour {
	return Behaviour{
		Counts: agent.Counts{ModulesChanged: 1, ModulesAdded: 1, Files: 3, Processes: 303, Migrating: 302},
		Modules: []agent.Module{
			{Module: "Counter.Tally", App: App, Change: "changed", Functions: &engine.FunctionChanges{Added: []string{"most/1"}, Changed: []string{"plus/2"}}},
			{Module: "Counter.Report", App: App, Change: "added", Functions: &engine.FunctionChanges{Added: []string{"all/0"}}},
		},
		Processes:   []agent.Process{{Module: "Counter.Tally", Kind: "gen_server", Count: 303}},
		RollbackUS:  900,
		Outcome:     agent.Committed,
		SuspendedUS: 2_500,
	}
}

// Behave changes how agents behave: those of a machine, or with id "" of all that have no behaviour of their own. change must
// not call the world.
func (w *World) Behave(id string, change func(*Behaviour)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == "" {
		change(&w.behaviour)
		return
	}
	m := w.byID[id]
	if m.behaviour == nil {
		own := w.behaviour
		m.behaviour = &own
	}
	change(m.behaviour)
}

func (w *World) behaviourOf(m *machine) *Behaviour {
	if m.behaviour != nil {
		return m.behaviour
	}
	return &w.behaviour
}
