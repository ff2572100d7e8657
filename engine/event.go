package engine

import (
	"time"
)

// EventVersion is the version of the event format, field "v".
const EventVersion = 1

// Event carries the full state of one (machine, attempt, phase). A later event replaces an earlier one, so a slow reader
// may skip events that have a successor. Lines of output (Log) are the exception: each is an event of its own. JSON output
// and the record hold the same struct, one object per line.
type Event struct {
	V       int       `json:"v"`
	Seq     int64     `json:"seq"` // from 1; the recorded stream has no gaps
	At      time.Time `json:"at"`
	Machine string    `json:"machine"` // machine ID; "" for the phases of the fleet
	Attempt int       `json:"attempt"` // from 1
	Phase   Phase     `json:"phase"`
	Status  Status    `json:"status"`
	// State is the machine's state from this event on; "" leaves it unchanged.
	State MachineState `json:"state,omitempty"`

	StartedAt  time.Time `json:"started_at,omitzero"`
	DurationUS int64     `json:"duration_us,omitempty"` // microseconds, set once the phase has ended
	Done       int64     `json:"done,omitempty"`        // progress within the phase, in Unit
	Total      int64     `json:"total,omitempty"`
	Unit       string    `json:"unit,omitempty"` // bytes, machines, modules, processes
	Text       string    `json:"text,omitempty"` // prose, to be shown and never parsed
	Log        string    `json:"log,omitempty"`  // one line of output, without colours and control characters

	Problem *Problem       `json:"problem,omitempty"`
	Facts   *Machine       `json:"facts,omitempty"`  // with the first event of a machine
	Report  *MachineReport `json:"report,omitempty"` // what the agent has counted so far
	Vitals  *Vitals        `json:"vitals,omitempty"` // of a machine that is watched, or about to commit
	Plan    *Plan          `json:"plan,omitempty"`   // with phase plan; in a stream that of a large fleet is in parts, see InParts
	Asks    Question       `json:"asks,omitempty"`   // with phase commit, while the deploy waits for an answer, or takes one
	Ways    []Way          `json:"ways,omitempty"`   // with Asks: the answers that it takes; the first one stands if nobody answers
	Held    *LockHeld      `json:"held,omitempty"`   // with phase lock, while somebody else holds it
	Upgrade *Upgrade       `json:"upgrade,omitempty"`
}

// Upgrade identifies what is being deployed.
type Upgrade struct {
	ID          string        `json:"id"` // ULID
	App         string        `json:"app"`
	OTPApp      string        `json:"otp_app,omitempty"`
	Version     string        `json:"version,omitempty"` // the OTP application's vsn in the new release
	SourceImage string        `json:"source_image_ref,omitempty"`
	BaseImage   string        `json:"image_ref,omitempty"` // the fleet's image
	SHA256      string        `json:"sha256,omitempty"`    // of the tarball
	Size        int64         `json:"size,omitempty"`      // of the tarball, bytes
	TarballURL  string        `json:"tarball_url,omitempty"`
	Agent       CompiledAgent `json:"agent,omitzero"`
	Owner       string        `json:"owner,omitempty"`
	Host        string        `json:"host,omitempty"` // where the console runs
	Message     string        `json:"message,omitempty"`
	GitRevision string        `json:"git_revision,omitempty"`
	CILink      string        `json:"ci_link,omitempty"` // to the CI job that deploys
	// ReleaseCommand is that of the fly.toml which it was deployed with, whether it was run or not; "" for none, or in older records.
	ReleaseCommand string `json:"release_command,omitempty"`
	// ApplyConfig: the tarball holds the release's configuration as it was built, and machines apply it.
	ApplyConfig bool `json:"apply_config,omitempty"`
	// ApplyChildren: machines start and end children of supervisors.
	ApplyChildren ApplyChildren `json:"apply_children,omitempty"`
	DryRun        bool          `json:"dry_run,omitempty"`
	Signature     *Signature    `json:"signature,omitempty"` // of what was packed; nil where nobody signs
}

// MachineReport holds what an agent has counted on its machine.
type MachineReport struct {
	ModulesChanged int `json:"modules_changed"`
	ModulesAdded   int `json:"modules_added"`
	ModulesRemoved int `json:"modules_removed"`
	// Processes is how many processes will be suspended or, after the commit, were.
	Processes int `json:"processes"`
	Migrating int `json:"migrating,omitempty"` // of those, the ones that the plan expects to migrate
	Migrated  int `json:"migrated"`
	// SuspendedUS is how long the process waited that was suspended longest, in microseconds; 0 until the last resume.
	SuspendedUS int64 `json:"suspended_us"`
	// Outcome is the agent's final state, such as committed or rolled_back; "" until then.
	Outcome  MachineState `json:"outcome,omitempty"`
	UpToDate bool         `json:"up_to_date,omitempty"` // everything in the upgrade was loaded already
	Killed   []string     `json:"killed,omitempty"`     // pids of processes that a rollback had to kill
	Skipped  int          `json:"skipped,omitempty"`    // processes that would not suspend and were left out
	Crashes  []Crash      `json:"crashes,omitempty"`    // that came with the upgrade
	Failures []Failure    `json:"failures,omitempty"`
	// FailuresTotal counts all failures; Failures holds the first one for each (module, reason).
	FailuresTotal int `json:"failures_total,omitempty"`
	// SuspendedAtUS and ResumedAtUS are the ends of the window by the machine's clock, in microseconds since the Unix epoch.
	SuspendedAtUS int64 `json:"suspended_at_us,omitempty"`
	ResumedAtUS   int64 `json:"resumed_at_us,omitempty"`
}

// Failure describes a process that could not be suspended or migrated. It shows the shape of the state, never its values.
type Failure struct {
	PID         string   `json:"pid"`
	Name        string   `json:"name,omitempty"` // registered name
	Module      string   `json:"module"`
	Reason      string   `json:"reason"`              // busy, raised, exited, badreturn, …
	Exception   string   `json:"exception,omitempty"` // e.g. "** (RuntimeError) cannot migrate"
	Stack       []string `json:"stack,omitempty"`
	StateBefore string   `json:"state_before,omitempty"`
	StateAfter  string   `json:"state_after,omitempty"`
	Count       int      `json:"count"` // of the processes with this module and reason
}

// InParts gives the events as which a stream has e: one for each part of its plan, whose lists take about most bytes. All but the last
// are pending. They have no numbers of their own yet.
func (e Event) InParts(most int) []Event {
	if e.Plan == nil {
		return []Event{e}
	}
	var all []Event
	for _, part := range e.Plan.Divided(most) {
		next := e
		if next.Plan = part; part.Part < part.Parts {
			next.Status, next.StartedAt, next.DurationUS, next.Problem = StatusPending, time.Time{}, 0, nil
		}
		all = append(all, next)
	}
	return all
}

// MergedWith gives e with the facts, plan, report, vitals and upgrade of an earlier event of the same phase where e has none, so that
// a reader who sees only the merged event misses nothing.
func (e Event) MergedWith(earlier Event) Event {
	if e.Facts == nil {
		e.Facts = earlier.Facts
	}
	if e.Plan == nil {
		e.Plan = earlier.Plan
	}
	if e.Report == nil {
		e.Report = earlier.Report
	}
	if e.Vitals == nil {
		e.Vitals = earlier.Vitals
	}
	if e.Upgrade == nil {
		e.Upgrade = earlier.Upgrade
	}
	return e
}
