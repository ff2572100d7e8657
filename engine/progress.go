package engine

import "time"

// maxLog is how many lines Progress keeps for the log pane.
const maxLog = 2000

// Progress is what is known of a deploy from its events so far. Only Apply changes it; console, plain output, history and
// replay all read it.
type Progress struct {
	Upgrade  Upgrade
	Fleet    map[Phase]PhaseState
	Machines []*MachineProgress // in the order in which they first had an event
	Plan     *Plan
	Held     *LockHeld // somebody else's lock, while the deploy waits for an answer
	// CommitAsks is the question that stands while machines commit, QuestionNone for none.
	CommitAsks Question
	Ways       []Way // that the question takes
	Log        []LogLine
	LastSeq    int64
	LastAt     time.Time

	index map[string]*MachineProgress
	parts *Plan // the first parts of a plan that is not whole yet
	// brief: of machines' phases it keeps the first, and no log.
	brief bool
}

// MachineProgress is one machine's part of a deploy. Phases are those of the current attempt.
type MachineProgress struct {
	ID      string
	Facts   Machine
	Attempt int
	State   MachineState
	Phases  map[Phase]PhaseState
	Report  MachineReport
	Vitals  *Vitals // the last ones; nil if there were none
	Busy    []int   // how busy its schedulers were at the last looks, percent, oldest first
	// BusySince is how many of these looks came after the commit.
	BusySince int
	Problem   *Problem
}

// PhaseState is the last event of one phase.
type PhaseState struct {
	Status     Status
	StartedAt  time.Time
	DurationUS int64
	Done       int64
	Total      int64
	Unit       string
	Text       string
	Problem    *Problem
	At         time.Time
}

// LogLine is one line of the event log.
type LogLine struct {
	At      time.Time
	Machine string
	Phase   Phase
	Status  Status
	// DurationUS is how long the phase took, in microseconds; 0 until it has ended.
	DurationUS int64
	Text       string
	Output     bool // a line that a command such as the build printed
}

// NewProgress makes the progress of a deploy that has had no event yet.
func NewProgress() *Progress {
	return &Progress{Fleet: map[Phase]PhaseState{}, index: map[string]*MachineProgress{}}
}

// NewBriefProgress makes one for who counts machines: of their phases it keeps the first, and no log.
func NewBriefProgress() *Progress {
	p := NewProgress()
	p.brief = true
	return p
}

// Apply updates p with an event. Events may arrive merged (a state replaced by its successor), but never reordered within one
// (machine, attempt, phase). A final status never changes; a new attempt starts the phases of its machine afresh.
func (p *Progress) Apply(e Event) {
	p.LastSeq, p.LastAt = max(p.LastSeq, e.Seq), e.At
	if e.Upgrade != nil {
		p.Upgrade = *e.Upgrade
	}
	if e.Log != "" {
		p.log(LogLine{At: e.At, Machine: e.Machine, Phase: e.Phase, Text: e.Log, Output: true})
		return
	}
	phases := p.Fleet
	if e.Machine != "" {
		m := p.machine(e)
		if e.Attempt < m.Attempt {
			return
		}
		m.take(e)
		if p.brief && e.Phase != MachinePhases[0] {
			return
		}
		phases = m.Phases
	} else {
		p.takeFleet(e)
	}
	before := phases[e.Phase]
	if before.Status.Final() {
		return
	}
	phases[e.Phase] = stateOf(e)
	if e.Status != before.Status {
		p.log(LogLine{At: e.At, Machine: e.Machine, Phase: e.Phase, Status: e.Status, DurationUS: e.DurationUS, Text: e.line()})
	}
}

// Machine gives the progress of one machine; nil if it has had no event.
func (p *Progress) Machine(id string) *MachineProgress { return p.index[id] }

func (p *Progress) machine(e Event) *MachineProgress {
	m, ok := p.index[e.Machine]
	if !ok {
		m = &MachineProgress{ID: e.Machine, Attempt: e.Attempt, State: MachineWaiting, Phases: map[Phase]PhaseState{}}
		p.index[e.Machine] = m
		p.Machines = append(p.Machines, m)
	}
	if e.Attempt > m.Attempt {
		m.Attempt, m.State, m.Phases, m.Report, m.Problem = e.Attempt, MachineWaiting, map[Phase]PhaseState{}, MachineReport{}, nil
		m.Vitals, m.Busy, m.BusySince = nil, nil, 0
	}
	return m
}

func (m *MachineProgress) take(e Event) {
	if e.Facts != nil {
		m.Facts = *e.Facts
	}
	if e.Report != nil {
		m.Report = *e.Report
	}
	m.takeVitals(e.Vitals)
	m.State = m.after(e)
	if e.Problem != nil {
		m.Problem = e.Problem
	} else if e.Phase == PhaseCheck && e.Status == StatusDone {
		m.Problem = nil // it was about an answer that has been found since
	}
}

// after gives the machine's state after an event. Streams of older versions hold no states, only the agent's end and its check.
func (m *MachineProgress) after(e Event) MachineState {
	switch {
	case e.State != "":
		return e.State
	case m.State == MachineWaiting && e.Phase == PhaseInject && e.Status == StatusRunning:
		return MachineStaging
	case e.Phase == PhaseCheck && e.Status == StatusDone && !m.State.Upgraded():
		return MachineVerified
	case e.Report != nil && e.Report.Outcome != "" && m.State != MachineRecorded && m.State != MachineVerified:
		return e.Report.Outcome
	}
	return m.State
}

func (p *Progress) takeFleet(e Event) {
	if e.Plan != nil {
		p.takePlan(e.Plan)
	}
	if e.Phase == PhaseCommit {
		p.CommitAsks, p.Ways = e.Asks, e.Ways
	}
	if e.Phase == PhaseLock {
		p.Held = e.Held
	}
}

// takePlan takes a plan, or a part of one, which counts once it is whole.
func (p *Progress) takePlan(plan *Plan) {
	if plan.Parts == 0 {
		p.Plan = plan
		return
	}
	if p.parts = p.parts.joined(plan); p.parts.isWhole() {
		p.Plan, p.parts = p.parts, nil
		p.Plan.Part, p.Plan.Parts = 0, 0
	}
}

func (p *Progress) log(l LogLine) {
	if p.brief {
		return
	}
	if len(p.Log) == maxLog {
		p.Log = append(p.Log[:0], p.Log[maxLog/4:]...)
	}
	p.Log = append(p.Log, l)
}

func stateOf(e Event) PhaseState {
	return PhaseState{
		Status: e.Status, StartedAt: e.StartedAt, DurationUS: e.DurationUS, Done: e.Done, Total: e.Total,
		Unit: e.Unit, Text: e.Text, Problem: e.Problem, At: e.At,
	}
}

// line gives the event's prose for the log: its problem, or else its text.
func (e Event) line() string {
	if e.Problem != nil {
		return e.Problem.What
	}
	return e.Text
}

// Now gives the phase that a machine is in, and its status: the phase that runs, or else the last one that has ended. A machine
// without a report is pending in its first phase.
func (m *MachineProgress) Now() (Phase, Status) {
	phase, status := MachinePhases[0], StatusPending
	for _, p := range MachinePhases {
		s, ok := m.Phases[p]
		if !ok || s.Status == StatusPending || s.Status == StatusSkipped {
			continue
		}
		phase, status = p, s.Status
	}
	return phase, status
}
