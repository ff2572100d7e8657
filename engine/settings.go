package engine

import (
	"slices"
	"time"
)

// Settings says what one deploy is to do, and how.
type Settings struct {
	App    string // Fly app
	OTPApp string // OTP application; if "", the running VM is asked
	// Release is the one to upgrade; the running VM is asked for what is empty.
	Release Release
	Owner   string // who deploys, for lock and record
	// Host, Message, GitRevision and CILink go into the record.
	Host, Message, GitRevision, CILink string
	// Select says which machines take part; if it is empty, all do.
	Select           Selection
	MaxConcurrency   int           // how many machines are armed or in their window at once
	MaxFailed        int           // how many machines may fail before nothing more starts
	Strategy         Strategy      // the order in which machines commit
	StrategyGiven    StrategyGiven // what of it a resumed deploy does not take from the one that it resumes
	EndTrial         TrialEnd      // nothing is deployed: what is on trial is confirmed, or taken back
	OnSick           OnSick        // what becomes of an upgrade that is not well; "" is OnSickStop
	Timeout          time.Duration // for each of staging, arming and committing one machine
	SuspendTimeout   time.Duration // for one process to suspend
	MigrationTimeout time.Duration // so long without an answer, and migrations that still wait are ended
	MaxSuspend       time.Duration // for the whole window of a machine, all attempts to suspend together
	SkipBusy         bool          // upgrades the others where processes do not suspend in time
	Rehearse         Rehearse      // where migrations are tried on copies of states first
	LockTimeout      time.Duration // how long the lock lives after a renewal
	LockWait         time.Duration // how long to wait for somebody else's lock without Ask
	Keep             int           // how many deploys the record keeps; 0 means 50
	DryRun           bool          // ends with the plan, takes no lock, and leaves nothing behind
	Yes              bool          // commits without a question, unless the plan has blockers
	Ask              bool          // somebody can answer questions
	Accept           []string      // names of blockers that are accepted beforehand
	OrCold           bool          // where the plan's verdict is cold, the image goes out as a cold deploy
	Force            bool          // overrides somebody else's lock without a question
	Image            string        // a pushed image to use instead of a build
	To               string        // ID of an earlier deploy whose tarball is deployed again instead of a build
	Resume           bool          // deploys the last deploy's tarball again, to finish it
	Meant            string        // the deploy that Resume and EndTrial are about, "" for whichever it is
	Temporary        Temporary     // the machine that packs the release
	Source           ReleaseSource // what packs it; "" is SourceAuto
	// ReleaseCommand is fly.toml's release_command, "" for none. RunReleaseCommand runs it in a temporary machine with the new image once
	// the plan is confirmed, before anything is suspended.
	ReleaseCommand    string
	RunReleaseCommand bool
	// ApplyConfig: the new release's configuration is applied to the running applications.
	ApplyConfig bool
	// ApplyChildren: supervisors get their new children.
	ApplyChildren ApplyChildren
}

// ApplyChildren says what becomes of supervisors' children once the new code runs.
type ApplyChildren string

// What is told by these words in records and orders.
const (
	ApplyNoChildren      ApplyChildren = ""        // they stay as they are
	ApplyChildrenKeep    ApplyChildren = "keep"    // new ones are started, and old ones ended
	ApplyChildrenRestart ApplyChildren = "restart" // those that are started otherwise are restarted, too
)

// ReleaseSource says from where a release is read.
type ReleaseSource string

// The sources.
const (
	SourceAuto     ReleaseSource = "auto"     // a temporary machine, or where Fly has none the registry
	SourceMachine  ReleaseSource = "machine"  // a temporary machine with the image
	SourceRegistry ReleaseSource = "registry" // the image's layers, by the console
)

// Valid reports whether there is such a source; "" is SourceAuto.
func (s ReleaseSource) Valid() bool {
	return slices.Contains([]ReleaseSource{"", SourceAuto, SourceMachine, SourceRegistry}, s)
}

// Rehearse says on which machines the agent rehearses.
type Rehearse string

// RehearseOne is the default.
const (
	RehearseOne  Rehearse = ""     // one machine of each process group
	RehearseAll  Rehearse = "all"  // every machine
	RehearseNone Rehearse = "none" // no machine
)

// Selection names machines. A machine is selected when every non-empty field names it.
type Selection struct {
	Machines      []string `json:"machines,omitempty"` // IDs
	Regions       []string `json:"regions,omitempty"`
	ProcessGroups []string `json:"process_groups,omitempty"`
}

// Empty reports whether the selection names nothing, which selects all machines.
func (s Selection) Empty() bool {
	return len(s.Machines) == 0 && len(s.Regions) == 0 && len(s.ProcessGroups) == 0
}

// Selects reports whether the machine is selected.
func (s Selection) Selects(m Machine) bool {
	names := func(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }
	return names(s.Machines, m.ID) && names(s.Regions, m.Region) && names(s.ProcessGroups, m.ProcessGroup)
}

// App says what to look for on a fleet; the running VM is asked for what is empty.
type App struct {
	OTPApp  string
	Release Release
}

// Release names an Elixir release on a machine; the running VM is asked for what is empty.
type Release struct {
	Name string
	Root string // its folder, RELEASE_ROOT
}
