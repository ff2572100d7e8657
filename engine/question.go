package engine

// Answer answers a question of a deploy: whether to carry out the plan, or what to do about somebody else's lock.
type Answer struct {
	// To is the question that is answered. Answers to any other question are dropped, so that a key pressed twice at the lock
	// does not confirm the plan.
	To      Question
	Proceed bool
	Accept  []string // names of the blockers that the operator accepts
	// OverrideETag is the ETag of the lock that was shown and is to be replaced.
	OverrideETag string
}

// Question names what a deploy is waiting for.
type Question string

// The questions of a deploy; Progress.Asks gives the current one.
const (
	QuestionNone Question = ""
	QuestionPlan Question = "plan"
	QuestionLock Question = "lock"
)

// Asks gives the question that the deploy is waiting for, QuestionNone if there is none.
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
