package engine

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
