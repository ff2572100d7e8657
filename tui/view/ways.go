package view

import (
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
)

// WayWords are how an answer to a question about what is not well, or has failed, is offered.
type WayWords struct{ Key, Label, Long, Said string }

var wayWords = map[engine.Way]WayWords{
	engine.WayStop:     {"s", "Stop here", "Stop here", "Nothing more starts"},
	engine.WayRetry:    {"r", "Try again", "Try the failed machines again", "Trying the failed machines again"},
	engine.WayBack:     {"b", "Take it back", "Take it back from the machines that took it", "Taking it back from the machines that took it"},
	engine.WayContinue: {"g", "Go on", "Go on with the others", "Going on with the others"},
}

// Way gives the words of a way.
func Way(w engine.Way) WayWords { return wayWords[w] }

// WaysTitle is what the question is about.
func WaysTitle(p *engine.Progress) string {
	switch p.Asks() {
	case engine.QuestionFailed:
		return "Machines have failed"
	case engine.QuestionBack:
		if endsProcesses(p) {
			return "Taking it back ends processes"
		}
		return "Taking it back is blocked"
	}
	return "It is not well"
}

// endsProcesses: nothing blocks the way back, but states are lost.
func endsProcesses(p *engine.Progress) bool {
	problem := p.Fleet[engine.PhaseCommit].Problem
	return problem != nil && problem.Name == "fresh_states"
}

// AboutWays says what the ways that are offered would do, where their words do not.
func AboutWays(p *engine.Progress) string {
	if p.Asks() == engine.QuestionBack {
		about := "Nothing was suspended for it. All other processes keep their states. What ends is started again in the older code, with a fresh state."
		if endsProcesses(p) {
			return about
		}
		return about + " Where it fails all the same, the machine keeps the upgrade."
	}
	says := stateOfFailed(p)
	for _, w := range p.Ways {
		switch w {
		case engine.WayRetry:
			says = append(says, "Trying again stages the failed machines anew, and commits them: a cause that is still there fails them again.")
		case engine.WayBack:
			says = append(says, aboutBack(p))
		}
	}
	return strings.Join(says, " ")
}

// stateOfFailed says what became of machines that have rolled back, nil where there are none.
func stateOfFailed(p *engine.Progress) []string {
	rolledBack := 0
	for _, m := range p.Machines {
		if m.State == engine.MachineRolledBack {
			rolledBack++
		}
	}
	if rolledBack == 0 || p.Asks() != engine.QuestionFailed {
		return nil
	}
	runs := "what they ran before"
	if p.Plan != nil && p.Plan.From() != "" {
		runs = text.Line(p.Plan.From())
	}
	return []string{text.Counted(rolledBack, "machine") + " rolled back: nothing was lost there, and " + runs + " goes on."}
}

// aboutBack names what machines get back, and what becomes of their processes.
func aboutBack(p *engine.Progress) string {
	before := "what these machines ran before"
	if p.Plan != nil && p.Plan.From() != "" {
		before += ": " + text.Line(p.Plan.From())
	}
	return "Taking it back deploys, hot, " + before + ". What cannot go back with its state starts afresh: you are asked before anything ends."
}
