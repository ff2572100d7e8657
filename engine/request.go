package engine

import "time"

// Request is a deploy that somebody asks a console for. What it leaves empty is as the command line says.
type Request struct {
	Select   Selection
	Resume   bool     // finishes the last deploy
	To       string   // the ID of an earlier deploy whose code is deployed again
	EndTrial TrialEnd // nothing is deployed: what is on trial is confirmed, or taken back
	// Meant is the deploy that is finished, or whose trial ends, as somebody has seen it: where it is another by now, nothing happens.
	Meant  string
	Chosen *Choices // what was chosen before it begins
}

// Choices are what can be chosen before a deploy begins.
type Choices struct {
	Kind    StrategyKind   // "": as it would be without a choice
	Bake    *time.Duration // as Strategy has it; nil likewise
	Message string
}

// Sheet is what a deploy would be, to be looked at before it begins.
type Sheet struct {
	Source   string // where the code comes from, in words
	Revision string // the commit that is checked out, "" outside of a repository
	Subject  string // the first line of its message
	Dirty    bool   // files differ from it
	Resumes  bool   // it finishes an earlier deploy, on that one's machines
	Strategy Strategy
	Message  string
}
