package engine

import (
	"slices"
	"time"
)

// Settings of one deploy.
type Settings struct {
	App    string // Fly app
	OTPApp string // OTP application; "" asks the running VM
	// Release is the one to upgrade; what is empty is asked of the running VM.
	Release Release
	Owner   string // who deploys, for the lock
	// Host, Message, GitRevision and CILink go into the record.
	Host, Message, GitRevision, CILink string
	// Select names the machines that take part; empty fields select all.
	Select         Selection
	MaxConcurrency int               // machines that are staged or armed at once
	Strategy       Strategy          // the order in which machines commit
	Timeout        time.Duration     // for one machine, each of staging and committing
	SuspendTimeout time.Duration     // for one process to suspend
	LockTimeout    time.Duration     // the lock's expiry
	LockWait       time.Duration     // how long to wait for somebody else's lock where nobody can be asked
	Keep           int               // how many deploys the record keeps
	DryRun         bool              // ends with the plan: no lock, nothing left behind
	Yes            bool              // commits without a question unless the plan has blockers
	Ask            bool              // somebody is there to answer questions
	Accept         []string          // blockers accepted by name beforehand
	Force          bool              // overrides a lock that somebody else holds, without a question
	Image          string            // a pushed image, instead of a build
	To             string            // an earlier deploy's id: its tarball is deployed again, instead of a build
	Resume         bool              // finishes the last deploy, whose console was killed or which failed
	Env            map[string]string // for the temporary machine
}

// Selection names machines. A machine is selected when every non-empty field names it.
type Selection struct {
	Machines      []string `json:"machines,omitempty"` // ids
	Regions       []string `json:"regions,omitempty"`
	ProcessGroups []string `json:"process_groups,omitempty"`
}

// Empty: no machine is named, so all are meant.
func (s Selection) Empty() bool {
	return len(s.Machines) == 0 && len(s.Regions) == 0 && len(s.ProcessGroups) == 0
}

// Covers reports whether the selection names the machine.
func (s Selection) Covers(m Machine) bool {
	names := func(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }
	return names(s.Machines, m.ID) && names(s.Regions, m.Region) && names(s.ProcessGroups, m.ProcessGroup)
}

// App says what is looked for on a fleet. What is empty is asked of the running VM.
type App struct {
	OTPApp  string
	Release Release
}

// Release says which release is meant. What is empty is what the running VM says.
type Release struct {
	Name string
	Root string // RELEASE_ROOT
}
