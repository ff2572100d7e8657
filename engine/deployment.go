package engine

import (
	"context"
	"time"

	"flydeploy/engine/agent"
)

// Settings of one deploy.
type Settings struct {
	App    string // Fly app
	OTPApp string // OTP application; "" asks the running VM
	// Release is the one to upgrade; what is empty is asked of the running VM.
	Release agent.Release
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

// Answer to a question that a deploy asks: the plan's confirmation, or what to do about somebody else's lock.
type Answer struct {
	// To is the question that is answered. An answer to another one is dropped: a key pressed twice at the lock must
	// not confirm the plan.
	To      Question
	Proceed bool
	Accept  []string // names of the blockers that the operator accepts
	// OverrideETag is the ETag of the lock that was shown and shall be replaced.
	OverrideETag string
}

// Question says what a deploy is waiting for.
type Question string

// The questions of a deploy. They can be read off Progress: see Progress.Asks.
const (
	QuestionNone Question = ""
	QuestionPlan Question = "plan"
	QuestionLock Question = "lock"
)

// Asks tells which answer the deploy is waiting for.
func (p *Progress) Asks() Question {
	switch {
	case p.Held != nil && p.Fleet[PhaseLock].Status == StatusRunning:
		return QuestionLock
	case p.Plan != nil && p.Fleet[PhasePlan].Status == StatusRunning:
		return QuestionPlan
	default:
		return QuestionNone
	}
}

// Deployment is a deploy that runs in the background.
type Deployment struct {
	feed    *Feed
	answers chan Answer
	stop    context.CancelFunc
	hurry   context.CancelFunc
	done    chan struct{}
	result  Result
}

// Next waits for events and gives all that are there; io.EOF after the last one. It has one reader at a time.
func (d *Deployment) Next(ctx context.Context) ([]Event, error) { return d.feed.Next(ctx) }

// Answer answers the question that the deploy asks. A newer answer takes the place of one that nobody has read.
func (d *Deployment) Answer(a Answer) {
	for {
		select {
		case d.answers <- a:
			return
		default:
		}
		select {
		case <-d.answers:
		default:
		}
	}
}

// Stop keeps the deploy from starting anything more. What is in flight ends by itself, then everything is settled:
// agents, temporary machine, lock.
func (d *Deployment) Stop() { d.stop() }

// Hurry stops the deploy, and bounds the rest to about eight seconds: what has not answered by then is left to end by
// itself. The lock of a machine whose end was not seen stays until it expires.
func (d *Deployment) Hurry() {
	d.stop()
	d.hurry()
}

// Result gives the end of the deploy; it waits for it.
func (d *Deployment) Result() Result {
	<-d.done
	return d.result
}

// Settled gives the end of the deploy without waiting for it; false while it is under way.
func (d *Deployment) Settled() (Result, bool) {
	select {
	case <-d.done:
		return d.result, true
	default:
		return Result{}, false
	}
}
