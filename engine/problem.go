package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is an error as an operator reads it: what happened and where, and apart from it what to do.
type Problem struct {
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
	// Name identifies the kind of problem in scripts and in --accept, e.g. "otp_differs".
	Name string `json:"name,omitempty"`
	err  error
}

// Error implements error: what happened, and the remedy after a line break.
func (p *Problem) Error() string {
	if p.Remedy == "" {
		return p.What
	}
	return p.What + "\n  → " + p.Remedy
}

// Unwrap gives the error that the problem was made from.
func (p *Problem) Unwrap() error { return p.err }

// NewProblem makes a Problem of err with a remedy; the text is "what: err".
func NewProblem(name, what string, err error, remedy string) *Problem {
	if err != nil {
		what = fmt.Sprintf("%s: %v", what, err)
	}
	return &Problem{Name: name, What: what, Remedy: remedy, err: err}
}

// on says where the problem is.
func (p *Problem) On(where string) *Problem {
	return &Problem{What: where + ": " + p.What, Remedy: p.Remedy, Name: p.Name, err: p}
}

// AsProblem gives err as a Problem: the one inside it, with the text that was wrapped around it, or a new one. Several
// joined errors make one that tells them all.
func AsProblem(err error) *Problem {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		if all := joined.Unwrap(); len(all) > 1 {
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

// nameOf gives the name of the kind of error that err is, "" where it has none.
func nameOf(err error) string {
	var named interface{ ProblemName() string }
	if errors.As(err, &named) {
		return named.ProblemName()
	}
	return ""
}

// joinProblems takes the name of the first, and every remedy once.
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

// Because sets the error that Unwrap gives, without its text in the problem's.
func (p *Problem) Because(err error) *Problem {
	p.err = err
	return p
}
