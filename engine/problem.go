package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is an error as an operator reads it: what happened and where, and separately what to do about it.
type Problem struct {
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
	// Name identifies the kind of problem in scripts and in --accept, such as "otp_differs".
	Name string `json:"name,omitempty"`
	err  error
}

// The names of an operator's own decisions.
const (
	ProblemStopped  = "stopped"
	ProblemDeclined = "declined"
)

// IsWilful reports whether it is nothing but an operator's own decision: no failure.
func (p *Problem) IsWilful() bool {
	return p != nil && (p.Name == ProblemStopped || p.Name == ProblemDeclined)
}

// Error implements error: what happened and, on a line of its own, the remedy.
func (p *Problem) Error() string {
	if p.Remedy == "" {
		return p.What
	}
	return p.What + "\n  → " + p.Remedy
}

// Unwrap gives the cause, nil if there is none.
func (p *Problem) Unwrap() error { return p.err }

// NewProblem makes a Problem. If err is not nil, it is the cause, and What reads "what: err".
func NewProblem(name, what string, err error, remedy string) *Problem {
	if err != nil {
		what = fmt.Sprintf("%s: %v", what, err)
	}
	return &Problem{Name: name, What: what, Remedy: remedy, err: err}
}

// WithPrefix gives the problem with "where: " before What, and p as its cause.
func (p *Problem) WithPrefix(where string) *Problem {
	return &Problem{What: where + ": " + p.What, Remedy: p.Remedy, Name: p.Name, err: p}
}

// AsProblem gives err as a Problem: the one that it wraps, with the text around it, or else a new one. Joined errors become
// one Problem with all their texts and remedies. nil gives nil.
func AsProblem(err error) *Problem {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		switch all := joined.Unwrap(); {
		case len(all) == 1:
			return AsProblem(all[0])
		case len(all) > 1:
			return joinProblems(err, all)
		}
	}
	var p *Problem
	if !errors.As(err, &p) {
		name := nameOf(err)
		if errors.Is(err, ErrConflict) {
			name = "conflict"
		}
		return &Problem{Name: name, What: err.Error(), Remedy: Remedies[name], err: err}
	}
	what := strings.Replace(err.Error(), p.Error(), p.What, 1)
	if what == p.What {
		return p
	}
	return &Problem{What: what, Remedy: p.Remedy, Name: p.Name, err: err}
}

// nameOf gives the name that err, or an error that it wraps, has for its kind; "" if none has.
func nameOf(err error) string {
	var named interface{ ProblemName() string }
	if errors.As(err, &named) {
		return named.ProblemName()
	}
	return ""
}

// joinProblems makes one problem of several: the first name, all texts, and each remedy once.
func joinProblems(err error, all []error) *Problem {
	joined := Problem{err: err}
	var whats, remedies []string
	for _, one := range all {
		p := AsProblem(one)
		joined.Name = cmp.Or(joined.Name, p.Name)
		whats = append(whats, p.What)
		if p.Remedy != "" && !slices.Contains(remedies, p.Remedy) {
			remedies = append(remedies, p.Remedy)
		}
	}
	joined.What, joined.Remedy = strings.Join(whats, "; "), strings.Join(remedies, "\n    ")
	return &joined
}

// WithCause sets the error that Unwrap gives, leaving What as it is, and returns p.
func (p *Problem) WithCause(err error) *Problem {
	p.err = err
	return p
}
