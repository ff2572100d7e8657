package engine

import "time"

// Outcome is the end of a whole deploy, as the last line of JSON output and the exit code give it.
type Outcome string

// The outcomes of a deploy.
const (
	OutcomeSucceeded Outcome = "succeeded"
	OutcomePartial   Outcome = "partial" // some machines run the upgrade, some do not; or all do, and of some nobody knows whether they are well
	OutcomeFailed    Outcome = "failed"
	OutcomeUnhealthy Outcome = "unhealthy" // some machines run the upgrade, or all do, and it is not well
	OutcomeBlocked   Outcome = "blocked"   // the plan has blockers that were not accepted
	OutcomeCancelled Outcome = "cancelled"
	OutcomeLocked    Outcome = "locked" // somebody else holds the deploy lock
	// The rest appear in the record only.
	OutcomeUnfinished Outcome = "unfinished" // the console was killed
	OutcomeUnreadable Outcome = "unreadable" // deploy.json is damaged
	OutcomeWithdrawn  Outcome = "withdrawn"  // not a deploy: upgrades were taken out of current.json
)

// ExitCode gives the exit code of the process for the outcome.
func (o Outcome) ExitCode() int {
	switch o {
	case OutcomeSucceeded:
		return 0
	case OutcomeBlocked:
		return 3
	case OutcomeLocked:
		return 4
	case OutcomePartial:
		return 5
	case OutcomeUnhealthy:
		return 6
	case OutcomeCancelled:
		return 130
	default:
		return 1
	}
}

// Result is the end of a deploy.
type Result struct {
	V          int             `json:"v"`
	Type       string          `json:"type"` // "result"
	Outcome    Outcome         `json:"outcome"`
	Upgrade    Upgrade         `json:"upgrade"`
	Machines   []MachineResult `json:"machines"`
	DurationMS int64           `json:"duration_ms"`
	WaitedMS   int64           `json:"waited_ms,omitempty"` // of DurationMS, while questions waited for the operator's answers
	Health     Health          `json:"health,omitempty"`    // of the machines that run the upgrade; "" in results of older versions
	Problem    *Problem        `json:"problem,omitempty"`   // what ended a deploy that did not succeed
	// LockLeft: the deploy lock was not released; it stays until it expires.
	LockLeft bool   `json:"lock_left,omitempty"`
	Left     []Left `json:"left,omitempty"`  // what stayed behind
	Trial    *Trial `json:"trial,omitempty"` // what is on trial now, nil for nothing
	// TrialEnd says that nothing was deployed: a trial was confirmed, or taken back.
	TrialEnd TrialEnd `json:"trial_end,omitempty"`
	DryRun   bool     `json:"dry_run,omitempty"`
	Cold     bool     `json:"cold,omitempty"` // the image went out as a cold deploy: its plan could not go hot
	Plan     *Plan    `json:"plan,omitempty"` // of a dry run
}

// Took is how long the deploy itself took, without what its questions waited for.
func (r *Result) Took() time.Duration {
	return time.Duration(r.DurationMS-r.WaitedMS) * time.Millisecond
}

// Waited is how long its questions waited for the operator's answers.
func (r *Result) Waited() time.Duration { return time.Duration(r.WaitedMS) * time.Millisecond }

// Left is something of a deploy that stayed behind, and ends by itself.
type Left struct {
	What    string    `json:"what"`              // LeftLock, LeftAgent, LeftTemporary or LeftLease
	Machine string    `json:"machine,omitempty"` // its ID
	EndsAt  time.Time `json:"ends_at"`           // at the latest, by the console's clock
	EndNow  string    `json:"end_now,omitempty"` // the command that ends it, "" where none does without deploying something else
}

// What may stay behind.
const (
	LeftLock      = "lock"
	LeftAgent     = "agent"
	LeftTemporary = "temporary_machine"
	LeftLease     = "lease" // of a machine
)

// IsWilful reports whether the deploy has ended as the operator wanted: who stops it, or declines its plan, has met no failure.
func (r Result) IsWilful() bool { return r.Problem.IsWilful() }

// MachineResult is one machine's end.
type MachineResult struct {
	ID          string         `json:"id"`
	Region      string         `json:"region,omitempty"`
	Outcome     MachineOutcome `json:"outcome"`
	Runs        string         `json:"runs,omitempty"`    // the version that it runs now, "" if that is not known
	Modules     int            `json:"modules"`           // changed and added
	Processes   int            `json:"processes"`         // migrated
	Skipped     int            `json:"skipped,omitempty"` // processes that would not suspend and were left out
	SuspendedUS int64          `json:"suspended_us"`
	Error       string         `json:"error,omitempty"`
	Health      Health         `json:"health,omitempty"`
	Crashes     []Crash        `json:"crashes,omitempty"` // that came with the upgrade, the most frequent kinds
	// Back is which way its processes went back, where the upgrade was taken back; else nil.
	Back     *WayOfProcesses `json:"back,omitempty"`
	Failures []Failure       `json:"failures,omitempty"`
	// FailuresTotal counts all failures; Failures holds the first one for each (module, reason). FullReport is the key in the
	// bucket of a gzipped JSON file with all of them; "" if there is none.
	FailuresTotal int    `json:"failures_total,omitempty"`
	FullReport    string `json:"full_report,omitempty"`
	// SuspendedAtUS and ResumedAtUS are the ends of the window by the machine's clock, in microseconds since the Unix epoch.
	SuspendedAtUS int64 `json:"suspended_at_us,omitempty"`
	ResumedAtUS   int64 `json:"resumed_at_us,omitempty"`
}
