package rehearse

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine"
	"flydeploy/text"
)

// Result is the result line of a rehearsal, after those of its deploys.
type Result struct {
	V        int             `json:"v"`
	Type     string          `json:"type"` // "rehearsal"
	Outcome  engine.Outcome  `json:"outcome"`
	Old      string          `json:"old,omitempty"` // the versions of the releases, "" where they are not known
	New      string          `json:"new,omitempty"`
	Machines int             `json:"machines_total"`
	Upgrade  engine.Outcome  `json:"upgrade,omitempty"` // "" where none began
	Back     engine.Outcome  `json:"back,omitempty"`    // "" where nothing was to be taken back
	Traffic  *TrafficEnd     `json:"traffic,omitempty"` // nil without any
	Problem  *engine.Problem `json:"problem,omitempty"` // of the traffic, or why nothing was upgraded
}

// TrafficEnd is how the traffic has ended.
type TrafficEnd struct {
	Outcome engine.Outcome `json:"outcome"`       // succeeded or failed
	Early   bool           `json:"early"`         // it ended before the rehearsal did
	Log     string         `json:"log,omitempty"` // the file that it is in, "" for none that stays
}

// Judge ends the traffic, and says how the rehearsal has ended: as the first of its parts that did not succeed. back is "" where nothing was to
// be taken back.
func (r *Rehearsal) Judge(upgrade, back engine.Outcome) Result {
	result := Result{
		V: 1, Type: "rehearsal", Outcome: upgrade, Old: r.old.version, New: r.new.version, Machines: r.options.Machines, Upgrade: upgrade, Back: back,
	}
	if upgrade == engine.OutcomeSucceeded && back != "" {
		result.Outcome = back
	}
	if r.traffic != nil {
		err := r.traffic.stop()
		result.Traffic, result.Problem = &TrafficEnd{Outcome: engine.OutcomeSucceeded, Early: r.traffic.early, Log: r.options.Traffic.Log}, engine.AsProblem(err)
		if err != nil {
			result.Traffic.Outcome = engine.OutcomeFailed
		}
		if result.Outcome == engine.OutcomeSucceeded {
			result.Outcome = result.Traffic.Outcome
		}
	}
	return result
}

// NotBegun is the result of a rehearsal that has come to nothing.
func NotBegun(o Options, why error) Result {
	result := Result{V: 1, Type: "rehearsal", Outcome: engine.OutcomeFailed, Machines: o.Machines}
	if errors.Is(why, context.Canceled) {
		result.Outcome = engine.OutcomeCancelled
	} else {
		result.Problem = engine.AsProblem(why)
	}
	return result
}

// String is the result in words, on a line.
func (r Result) String() string {
	if r.Upgrade == "" {
		return fmt.Sprintf("rehearsal on %s: %s; nothing was upgraded", text.Counted(r.Machines, "machine"), r.Outcome)
	}
	says := fmt.Sprintf("rehearsal of %s → %s on %s: %s; the upgrade %s", text.Line(r.Old), text.Line(r.New), text.Counted(r.Machines, "machine"), r.Outcome, r.Upgrade)
	switch {
	case r.Back != "":
		says += fmt.Sprintf(", taking it back %s", r.Back)
	case r.Upgrade == engine.OutcomeSucceeded:
		says += ", there was nothing to take back"
	}
	switch t := r.Traffic; {
	case t == nil:
	case t.Outcome == engine.OutcomeFailed:
		says += "; the traffic failed"
	case t.Early:
		says += "; the traffic succeeded, and ended early"
	default:
		says += "; the traffic ran all the while"
	}
	return says
}
