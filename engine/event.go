package engine

import (
	"time"
)

// EventVersion is the version of the event format, field "v".
const EventVersion = 1

// Event carries the full state of one (machine, attempt, phase): a later event replaces an earlier one, so a slow
// reader may skip any that have a successor. Lines of output (Log) are the exception: each is an event of its own.
// The same struct is what the JSON renderer prints and what history records, one object a line.
type Event struct {
	V       int       `json:"v"`
	Seq     int64     `json:"seq"` // from 1, without gaps in the recorded stream
	At      time.Time `json:"at"`
	Machine string    `json:"machine"` // machine id; "" for the phases of the fleet
	Attempt int       `json:"attempt"` // from 1
	Phase   Phase     `json:"phase"`
	Status  Status    `json:"status"`
	// State of the machine from this event on; "" leaves it as it was.
	State MachineState `json:"state,omitempty"`

	StartedAt  time.Time `json:"started_at,omitzero"`
	DurationUS int64     `json:"duration_us,omitempty"` // microseconds, set once the phase has ended
	Done       int64     `json:"done,omitempty"`        // progress inside the phase, in Unit
	Total      int64     `json:"total,omitempty"`
	Unit       string    `json:"unit,omitempty"` // bytes, machines, modules, processes
	Text       string    `json:"text,omitempty"` // prose: shown, never parsed
	Log        string    `json:"log,omitempty"`  // one line of output, colours and control characters removed

	Problem *Problem       `json:"problem,omitempty"`
	Facts   *Machine       `json:"facts,omitempty"`  // with the first event of a machine
	Report  *MachineReport `json:"report,omitempty"` // what the agent counted so far
	Plan    *Plan          `json:"plan,omitempty"`   // with phase plan
	Held    *LockHeld      `json:"held,omitempty"`   // with phase lock: somebody else has it
	Upgrade *Upgrade       `json:"upgrade,omitempty"`
}

// Upgrade identifies what is being deployed.
type Upgrade struct {
	ID          string `json:"id"` // ULID
	App         string `json:"app"`
	OTPApp      string `json:"otp_app,omitempty"`
	Version     string `json:"version,omitempty"` // the OTP application's vsn in the new release
	SourceImage string `json:"source_image_ref,omitempty"`
	BaseImage   string `json:"image_ref,omitempty"` // the fleet's image
	SHA256      string `json:"sha256,omitempty"`    // of the tarball
	Size        int64  `json:"size,omitempty"`      // of the tarball, bytes
	TarballURL  string `json:"tarball_url,omitempty"`
	Owner       string `json:"owner,omitempty"`
	Host        string `json:"host,omitempty"` // where the console runs
	Message     string `json:"message,omitempty"`
	GitRevision string `json:"git_revision,omitempty"`
	CILink      string `json:"ci_link,omitempty"` // of the CI job that deploys
	DryRun      bool   `json:"dry_run,omitempty"`
}

// MachineReport is what an agent counted on its machine.
type MachineReport struct {
	ModulesChanged int `json:"modules_changed"`
	ModulesAdded   int `json:"modules_added"`
	ModulesRemoved int `json:"modules_removed"`
	// Processes that will be (before the commit) or were (after it) suspended.
	Processes int `json:"processes"`
	Migrated  int `json:"migrated"`
	// SuspendedUS is the time from the first suspend to the last resume, microseconds; 0 before the window has ended.
	SuspendedUS int64 `json:"suspended_us"`
	// Outcome is the agent's terminal state, e.g. committed or rolled_back; "" before it.
	Outcome  MachineState `json:"outcome,omitempty"`
	UpToDate bool         `json:"up_to_date,omitempty"` // everything that the upgrade brings was loaded before
	Killed   []string     `json:"killed,omitempty"`     // pids that a rollback could not keep
	Failures []Failure    `json:"failures,omitempty"`
	// FailuresTotal counts all failures; Failures holds the first of each (module, reason).
	FailuresTotal int `json:"failures_total,omitempty"`
	// SuspendedAtUS and ResumedAtUS bound the window on the machine's clock, microseconds since the Unix epoch.
	SuspendedAtUS int64 `json:"suspended_at_us,omitempty"`
	ResumedAtUS   int64 `json:"resumed_at_us,omitempty"`
}

// Failure is one process that could not be suspended or migrated. It tells the state's shape, never its values.
type Failure struct {
	PID         string   `json:"pid"`
	Name        string   `json:"name,omitempty"` // registered name
	Module      string   `json:"module"`
	Reason      string   `json:"reason"`              // busy, raised, exited, badreturn, …
	Exception   string   `json:"exception,omitempty"` // e.g. "** (RuntimeError) cannot migrate"
	Stack       []string `json:"stack,omitempty"`
	StateBefore string   `json:"state_before,omitempty"`
	StateAfter  string   `json:"state_after,omitempty"`
	Count       int      `json:"count"` // processes with the same module and reason
}

// keeping carries over what only an earlier event of the phase told, so that merging two events loses nothing.
func (e Event) Keeping(earlier Event) Event {
	if e.Facts == nil {
		e.Facts = earlier.Facts
	}
	if e.Plan == nil {
		e.Plan = earlier.Plan
	}
	if e.Report == nil {
		e.Report = earlier.Report
	}
	if e.Upgrade == nil {
		e.Upgrade = earlier.Upgrade
	}
	return e
}
