package engine

// Answer answers a question of a deploy: whether to carry out the plan, or what to do about somebody else's lock.
type Answer struct {
	// To is the question that is answered. Answers to any other question are dropped, so that a key pressed twice at the lock
	// does not confirm the plan.
	To      Question
	Proceed bool
	Accept  []string // names of the blockers that the operator accepts
	// Way says how to go on, for QuestionWatch, QuestionSick and QuestionFailed; WayCold, for QuestionPlan.
	Way Way
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
	// QuestionWatch stands while a wave is watched; without an answer the watch ends by itself, unless Ways says that it waits for one.
	QuestionWatch  Question = "watch"
	QuestionSick   Question = "sick"   // it is not well
	QuestionFailed Question = "failed" // machines of a wave have failed
	QuestionBack   Question = "back"   // taking it back is blocked
)

// Way is an answer to QuestionWatch, QuestionSick or QuestionFailed.
type Way string

// The ways on: WayPromote ends the watch now, WayHold lets it go on until WayPromote, WayRetry tries failed machines again. The others are
// for what is not well, or has failed.
const (
	WayPromote  Way = "promote"
	WayHold     Way = "hold"
	WayRetry    Way = "retry"
	WayStop     Way = Way(OnSickStop)
	WayBack     Way = Way(OnSickBack)
	WayContinue Way = Way(OnSickContinue)
	// WayCold is an answer to QuestionPlan: a plan whose verdict is cold goes out as a cold deploy.
	WayCold Way = "cold"
)

// Asks gives the question that the deploy is waiting for, QuestionNone if there is none.
func (p *Progress) Asks() Question {
	switch {
	case p.Held != nil && p.Fleet[PhaseLock].Status == StatusRunning:
		return QuestionLock
	case p.Plan != nil && p.Fleet[PhasePlan].Status == StatusRunning:
		return QuestionPlan
	case p.Fleet[PhaseCommit].Status == StatusRunning:
		return p.CommitAsks
	default:
		return QuestionNone
	}
}
