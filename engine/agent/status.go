package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"flydeploy/engine"
)

// State of an agent.
type State string

// The states, in the order in which an agent goes through them.
const (
	Injected             State = "injected"
	Staging              State = "staging"
	Staged               State = "staged"
	Arming               State = "arming"
	Armed                State = "armed"
	Committing           State = "committing"
	Committed            State = "committed"
	RolledBack           State = "rolled_back"
	RolledBackWithLosses State = "rolled_back_with_losses"
	Failed               State = "failed" // nothing changed: staging or arming failed, or a process would not suspend
	Aborted              State = "aborted"
	Expired              State = "expired"
	Stale                State = "stale" // the VM's code changed after staging
)

var terminal = map[State]bool{
	Injected: false, Staging: false, Staged: false, Arming: false, Armed: false, Committing: false,
	Committed: true, RolledBack: true, RolledBackWithLosses: true, Failed: true, Aborted: true, Expired: true, Stale: true,
}

// Terminal reports whether the state never changes again.
func (s State) Terminal() bool { return terminal[s] }

// Valid reports whether s is a state of the protocol.
func (s State) Valid() bool { _, ok := terminal[s]; return ok }

// Status is what an agent tells of itself. Texts are bounded and free of control characters.
type Status struct {
	V           int    `json:"v"`
	ID          string `json:"id"`
	Owner       string `json:"owner"`
	Boot        string `json:"boot"`
	Seq         int64  `json:"seq"`
	State       State  `json:"state"`
	ExpiresInMS int64  `json:"expires_in_ms"`

	Phases   []Phase `json:"phases"` // in the order in which they began
	Download struct {
		Done  int64 `json:"done"`
		Total int64 `json:"total"`
	} `json:"download"` // bytes

	// From staged on.
	UpToDate       bool      `json:"up_to_date"`      // a commit would change nothing
	Running        string    `json:"running_version"` // of the application, "" if unknown
	Ran            *Ran      `json:"ran"`             // nil: the VM cannot tell
	RollbackUS     int64     `json:"rollback_us"`     // how long a rollback would suspend, estimated
	Counts         Counts    `json:"counts"`
	Modules        []Module  `json:"modules"` // the first of ModulesTotal
	ModulesTotal   int       `json:"modules_total"`
	Processes      []Process `json:"processes"`
	ProcessesTotal int       `json:"processes_total"` // groups, not processes
	Findings       []Finding `json:"findings"`
	FindingsTotal  int       `json:"findings_total"`

	// From the window on. Times are microseconds since the Unix epoch, on the machine's clock.
	SuspendedAtUS int64     `json:"suspended_at_us"`
	ResumedAtUS   int64     `json:"resumed_at_us"`
	SuspendedUS   int64     `json:"suspended_us"` // of the process that was suspended the longest
	Suspended     int       `json:"suspended"`    // processes
	Migrated      int       `json:"migrated"`     // answers of code_change, 0 unless committed
	Died          int       `json:"died"`         // processes that ended by themselves during the migration
	Crashed       int       `json:"crashed"`      // of the suspended ones, since the window, rolled back or not
	Skipped       int       `json:"skipped"`      // processes that would not suspend: they migrate when they come to it
	Deferred      int       `json:"deferred"`     // modules loaded after the migrations
	Views         int       `json:"views"`        // LiveViews whose pages show the new code
	Killed        []string  `json:"killed"`       // pids that a rollback could not keep, the first of KilledTotal
	KilledTotal   int       `json:"killed_total"`
	Fresh         int       `json:"fresh"`    // processes that were ended to start afresh, where an upgrade was taken back
	Unplaced      []string  `json:"unplaced"` // files that still hold the old code after a commit
	Failures      []Failure `json:"failures"`
	FailuresTotal int       `json:"failures_total"`
	// Report is "" while there is none, ReportStored, or why the full report is not in the bucket.
	Report string `json:"report"`

	Watch *Watch `json:"watch"` // what crashes since a commit, nil before

	Vitals       *Vitals `json:"vitals"`        // nil before the first look
	VitalsBefore *Vitals `json:"vitals_before"` // the last ones before a commit

	Trial *TrialTold `json:"trial"` // nil: the VM is on none

	// Error says why the state is failed or stale, where no window was reached; or what is wrong after a commit.
	Error *Error `json:"error"`
}

// Ran is what a VM's package knows of what ran before a window. What the bucket says of that may be an old record, signed as well as a
// new one.
type Ran struct {
	Upgrade string `json:"upgrade"` // ID of the deploy that has brought it, "" if it is not known
	Own     bool   `json:"own"`     // it is the image's own code
	// NewestMS is when the newest was signed of what the machine has run, in milliseconds since the Unix epoch; 0 if nothing is known. On
	// trial it is of what ran before that.
	NewestMS int64 `json:"newest_ms"`
	// Code is the fingerprint of the code (Code.Fingerprint), "" without keys, or if it is not known.
	Code string `json:"code"`
}

// TrialTold is a trial as an agent tells it.
type TrialTold struct {
	ID     string `json:"id"` // the deploy's
	LeftMS int64  `json:"left_ms"`
}

// ReportStored: all failures lie where the order's ReportURL points to, as gzipped JSON.
const ReportStored = "stored"

// ReportDue: the agent is uploading the report of what failed.
func (s *Status) ReportDue() bool { return s.Report == "" && s.FailuresTotal+len(s.Killed) > 0 }

// Phase is one of reload, extract, detection, arm, suspension, code_load, migration, rollback, resume, liveview.
type Phase struct {
	Name   string `json:"name"`
	AtUS   int64  `json:"at_us"`
	US     int64  `json:"us"`
	Status string `json:"status"` // running, done, skipped, failed
}

// Counts of what a commit would do.
type Counts struct {
	ModulesChanged int `json:"modules_changed"`
	ModulesAdded   int `json:"modules_added"`
	ModulesRemoved int `json:"modules_removed"`
	Files          int `json:"files"`
	Processes      int `json:"processes"` // to suspend
	Migrating      int `json:"migrating"` // of those, the ones with a code_change
}

// Module is one that the upgrade changes. Change is changed, added or removed.
type Module struct {
	Module string `json:"module"`
	App    string `json:"app"`
	Change string `json:"change"`
	// Functions is nil where the agent has not read them, or where there are too many to tell.
	Functions *engine.FunctionChanges `json:"functions"`
}

// Process counts processes of one callback module.
type Process = engine.ProcessChange

// Finding is something to know before the commit. Severity is info, warn, block or refuse.
type Finding struct {
	Name     string `json:"name"`
	Severity string `json:"severity"`
	Subject  string `json:"subject"`
	Detail   string `json:"detail"`
	// Processes is how many running processes it is about, 0 where nobody counts them.
	Processes int `json:"processes"`
}

// NotRendered is the reason of a view that keeps its state, but whose page cannot show the new code.
const NotRendered = "not_rendered"

// Failure is one process that was not suspended, migrated or rendered, the first of Count with the same module and reason. It
// tells shapes of states, never values.
type Failure struct {
	PID         string   `json:"pid"`
	Name        string   `json:"name"`
	Module      string   `json:"module"`
	Reason      string   `json:"reason"` // raised, exited, bad_return, timeout, too_slow, busy, skipped, not_rendered, not_suspended, not_loaded, agent_died, guardian_died
	Exception   string   `json:"exception"`
	Stack       []string `json:"stack"`
	StateBefore string   `json:"state_before"`
	StateAfter  string   `json:"state_after"`
	Count       int      `json:"count"`
}

// Watch is what has crashed in code that the upgrade changed. Times are milliseconds.
type Watch struct {
	BeforeMS     int64   `json:"before_ms"` // for how long was watched before the commit
	AfterMS      int64   `json:"after_ms"`  // and since
	Crashes      []Crash `json:"crashes"`   // the kinds that are most above what was before; with those that have not come again, Count 0
	CrashesTotal int     `json:"crashes_total"`
	Kinds        int     `json:"kinds"`  // how many kinds there are
	Queues       []Queue `json:"queues"` // mailboxes that grow since the commit, the longest ones
	// Supervisors are those that have come near their restart limits since the commit, the worst ones.
	Supervisors []Supervisor `json:"supervisors"`

	Tally *engine.Tally `json:"-"` // what other machines tell that are watched side by side, as the console knows; nil for nothing
}

// Vitals is how the VM does: see engine.Vitals.
type Vitals struct {
	Memory     int64  `json:"memory"`
	RunQueue   int    `json:"run_queue"`
	Processes  int    `json:"processes"`
	Mailbox    int    `json:"mailbox"`
	MailboxOf  string `json:"mailbox_of"`
	Schedulers *int   `json:"schedulers"`
	Crashes    int    `json:"crashes"`
	Restarts   int    `json:"restarts"`
}

// Supervisor is one whose next restart may be one too many.
type Supervisor struct {
	Supervisor string `json:"supervisor"`
	Child      string `json:"child"`    // module
	Restarts   int    `json:"restarts"` // the most within Seconds
	Limit      int    `json:"limit"`    // how many of such it allows
	Seconds    int    `json:"seconds"`
	Before     int    `json:"before"` // restarts in the time that was watched before the commit
}

// Queue is a mailbox that grows.
type Queue struct {
	Module string `json:"module"`
	Length int    `json:"length"` // messages
}

// Crash is one kind of crash: see engine.Crash, which has the same fields.
type Crash struct {
	Module    string   `json:"module"`
	Exception string   `json:"exception"`
	At        string   `json:"at"`
	Stack     []string `json:"stack"`
	Count     int      `json:"count"`
	Watched   int      `json:"watched"`
	Before    int      `json:"before"`
	Others    int      `json:"others"`
}

func (w *Watch) span() engine.Span {
	return engine.Span{Before: time.Duration(w.BeforeMS) * time.Millisecond, After: time.Duration(w.AfterMS) * time.Millisecond}
}

// AddTo adds what a machine tells to what others tell, and is judged beside that from now on.
func (w *Watch) AddTo(t *engine.Tally, machine string) {
	if w == nil {
		return
	}
	crashes := make([]engine.Crash, 0, len(w.Crashes))
	for _, c := range w.Crashes {
		crashes = append(crashes, engine.Crash(c))
	}
	t.Add(machine, crashes, len(crashes) == w.Kinds, w.span())
	w.Tally = t
}

// New gives the crashes that came with the upgrade, and for how long they were counted.
func (w *Watch) New() ([]engine.Crash, time.Duration) {
	if w == nil {
		return nil, 0
	}
	var worse []engine.Crash
	span := w.span()
	for _, c := range w.Crashes {
		if c := engine.Crash(c); w.Tally.IsNew(c, span) {
			worse = append(worse, c)
		}
	}
	return worse, span.After
}

// NearLimit gives the supervisors that have come near their restart limits with the upgrade, and not as they do all the time.
func (w *Watch) NearLimit() []Supervisor {
	if w == nil {
		return nil
	}
	var near []Supervisor
	for _, s := range w.Supervisors {
		if (engine.Crash{Count: s.Restarts, Watched: s.Restarts, Before: s.Before}).IsNew(w.span()) {
			near = append(near, s)
		}
	}
	return near
}

// Error names a failure apart from the migrations, e.g. sha256_differs.
type Error struct {
	Name string `json:"name"`
	What string `json:"what"`
}

func (e *Error) Error() string { return e.What }

// ExpiresIn is the time until the state ends by itself.
func (s *Status) ExpiresIn() time.Duration { return time.Duration(s.ExpiresInMS) * time.Millisecond }

// maxStatus bounds what is read of a status, in bytes; agents keep below 8 KB.
const maxStatus = 16 << 10

const (
	maxList = 1000
	maxID   = 80
)

var errBadStatus = errors.New("the agent's status is not valid")

// parseStatus reads a status of the agent id in the boot boot. A status of another boot says ErrGone.
func parseStatus(text, id, boot string) (Status, error) {
	var s Status
	switch err := json.Unmarshal([]byte(text), &s); {
	case len(text) > maxStatus:
		return Status{}, fmt.Errorf("%w: %d bytes", errBadStatus, len(text))
	case err != nil:
		return Status{}, fmt.Errorf("%w: %v", errBadStatus, err)
	case s.V != 1:
		return Status{}, fmt.Errorf("%w: version %d", errBadStatus, s.V)
	case s.ID != id:
		return Status{}, fmt.Errorf("%w: it is another upgrade's", errBadStatus)
	case s.Boot != boot:
		return Status{}, fmt.Errorf("the VM restarted: the one that was staged is %w", ErrGone)
	case !s.State.Valid():
		return Status{}, fmt.Errorf("%w: state %q", errBadStatus, printable(string(s.State), 40))
	case s.Seq < 1 || s.ExpiresInMS < 0 || s.SuspendedUS < 0 || slices.ContainsFunc(s.Phases, func(p Phase) bool { return p.AtUS < 0 || p.US < 0 }):
		return Status{}, fmt.Errorf("%w: a negative number", errBadStatus)
	case s.Watch != nil && (s.Watch.BeforeMS < 0 || s.Watch.AfterMS < 0 || max(len(s.Watch.Crashes), len(s.Watch.Queues)) > maxList):
		return Status{}, fmt.Errorf("%w: what it has watched", errBadStatus)
	case s.Ran != nil && (s.Ran.NewestMS < 0 || len(s.Ran.Upgrade) > maxID):
		return Status{}, fmt.Errorf("%w: what ran before", errBadStatus)
	case s.Trial != nil && (s.Trial.LeftMS < 0 || len(s.Trial.ID) > maxID):
		return Status{}, fmt.Errorf("%w: its trial", errBadStatus)
	case max(len(s.Phases), len(s.Modules), len(s.Processes), len(s.Findings), len(s.Failures), len(s.Killed)) > maxList:
		return Status{}, fmt.Errorf("%w: a list is too long", errBadStatus)
	}
	s.clean()
	return s, nil
}

// clean makes every text printable.
func (s *Status) clean() {
	short := func(texts ...*string) {
		for _, t := range texts {
			*t = printable(*t, 500)
		}
	}
	short(&s.Owner, &s.Report, &s.Running)
	for i := range s.Phases {
		short(&s.Phases[i].Name, &s.Phases[i].Status)
	}
	for i := range s.Modules {
		short(&s.Modules[i].Module, &s.Modules[i].App, &s.Modules[i].Change)
		if f := s.Modules[i].Functions; f != nil {
			for _, list := range [][]string{f.Added, f.Changed, f.Removed} {
				for j := range list {
					short(&list[j])
				}
			}
		}
	}
	for i := range s.Processes {
		short(&s.Processes[i].Module, &s.Processes[i].Kind)
	}
	for i := range s.Findings {
		f := &s.Findings[i]
		short(&f.Name, &f.Severity, &f.Subject, &f.Detail)
	}
	for i := range s.Failures {
		f := &s.Failures[i]
		short(&f.PID, &f.Name, &f.Module, &f.Reason, &f.Exception, &f.StateBefore, &f.StateAfter)
		for j := range f.Stack {
			short(&f.Stack[j])
		}
	}
	if s.Ran != nil {
		short(&s.Ran.Upgrade, &s.Ran.Code)
	}
	s.Watch.clean(short)
	for _, v := range []*Vitals{s.Vitals, s.VitalsBefore} {
		if v != nil {
			short(&v.MailboxOf)
		}
	}
	for i := range s.Killed {
		short(&s.Killed[i])
	}
	for i := range s.Unplaced {
		short(&s.Unplaced[i])
	}
	if s.Error != nil {
		short(&s.Error.Name, &s.Error.What)
	}
}

func (w *Watch) clean(short func(...*string)) {
	if w == nil {
		return
	}
	for i := range w.Queues {
		short(&w.Queues[i].Module)
	}
	for i := range w.Supervisors {
		short(&w.Supervisors[i].Supervisor, &w.Supervisors[i].Child)
	}
	for i := range w.Crashes {
		c := &w.Crashes[i]
		c.Count, c.Before, c.Others = max(c.Count, 0), max(c.Before, 0), max(c.Others, 0)
		short(&c.Module, &c.Exception, &c.At)
		for j := range c.Stack {
			short(&c.Stack[j])
		}
	}
}
