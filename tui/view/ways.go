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
func WaysTitle(q engine.Question) string {
	switch q {
	case engine.QuestionFailed:
		return "Machines have failed"
	case engine.QuestionBack:
		return "Taking it back is blocked"
	}
	return "It is not well"
}

// AboutWays says what the ways that are offered would do, where their words do not.
func AboutWays(p *engine.Progress) string {
	if p.Asks() == engine.QuestionBack {
		return "Nothing was suspended for it. Taken back all the same, processes that crash in the older code are started anew by their " +
			"supervisors, with fresh states; a process that still runs an earlier version must be ended first, or the machine refuses."
	}
	var says []string
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

// aboutBack names what machines get back, and what becomes of their processes.
func aboutBack(p *engine.Progress) string {
	before := "what these machines ran before"
	if p.Plan != nil && p.Plan.From() != "" {
		before += ": " + text.Line(p.Plan.From())
	}
	return "Taking it back deploys, hot, " + before + ". Where the older code cannot take the processes over, the machine keeps the upgrade, and is named."
}
