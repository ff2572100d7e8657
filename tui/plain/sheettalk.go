package plain

import (
	"context"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/view"
)

// sheet is what a deploy would be: nothing is locked, built or started before somebody begins it.
type sheet struct {
	*accessible
	fleet    *view.Fleet
	request  engine.Request
	what     string // where its code comes from, "" as the command line says
	machines []string
	facts    engine.Sheet
	strategy engine.Strategy
	chosen   engine.Choices
}

// askDeploy tells what a deploy would be, and begins it once somebody says so. what is its code, "" for what the command line says.
func (a *accessible) askDeploy(ctx context.Context, f *view.Fleet, r engine.Request, what string) bool {
	facts, err := a.o.Backend.Sheet(ctx)
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
	}
	s := &sheet{accessible: a, fleet: f, request: r, what: what, facts: facts, strategy: facts.Strategy, machines: f.Taking(r.Select)}
	s.chosen.Message = facts.Message
	for again := true; again && ctx.Err() == nil; {
		s.tell(time.Now())
		more := a.choose(ctx, []choice{
			{"Begin: the plan comes first, and is asked about before anything is suspended", func(ctx context.Context) bool {
				again = false
				s.request.Chosen = &s.chosen
				a.deploy(ctx, s.request)
				return ctx.Err() == nil
			}},
			{"Strategy: choose another", s.askStrategy},
			{"Watch: choose for how long after the commit", s.askBake},
			{"Message: say why you deploy", s.askMessage},
			{"Back: do not deploy", func(context.Context) bool { again = false; return true }},
		})
		if !more {
			return false
		}
	}
	return ctx.Err() == nil
}

// tell says what begins.
func (s *sheet) tell(now time.Time) {
	where := view.Named(s.machines, 1000)
	switch {
	case s.resumes():
		where = "those of that deploy"
	case s.request.Select.Empty():
		where = "all " + where
	}
	s.print("\nA deploy. Nothing has begun yet.\nRuns now: %s\nMachines: %s\n", s.fleet.Upgrade(now).Text(), where)
	if s.what == "" && s.facts.Revision != "" {
		s.print("Revision: %s\n", view.Revision(s.facts))
	}
	from, how, message := s.what, string(s.strategy.Kind)+": "+s.strategy.Describe(s.groups()...), s.chosen.Message
	if from == "" {
		from = s.facts.Source
	}
	if s.resumes() && s.chosen.Kind == "" {
		how = "as that deploy"
	}
	if message == "" {
		message = "none"
	}
	s.print("Code: %s\nStrategy: %s\nMessage: %s\n", from, how, message)
}

// resumes reports whether it finishes an earlier deploy, whose machines and strategy it has.
func (s *sheet) resumes() bool { return s.request.Resume || s.what == "" && s.facts.Resumes }

func (s *sheet) groups() []int {
	known := engine.ByID(s.fleet.Overview.Machines)
	_, sizes := engine.Grouped(s.strategy.By, s.machines, func(id string) engine.Machine { return known[id] })
	return sizes
}

func (s *sheet) askStrategy(ctx context.Context) bool {
	var all []choice
	for _, kind := range engine.Strategies {
		other := s.strategy
		if other.Kind = kind; s.chosen.Bake == nil && s.facts.Strategy.Bake == engine.DefaultBake(s.facts.Strategy.Kind) {
			other.Bake = engine.DefaultBake(kind)
		}
		all = append(all, choice{string(kind) + ": " + other.Describe(s.groups()...), func(context.Context) bool {
			s.strategy, s.chosen.Kind = other, kind
			return true
		}})
	}
	return s.choose(ctx, all)
}

func (s *sheet) askBake(ctx context.Context) bool {
	typed, ok := s.ask(ctx, "For how long machines are watched after their commit, such as 30s or 5m; 0 means not at all, Enter alone leaves it:")
	if typed = strings.TrimSpace(typed); !ok || typed == "" {
		return ok
	}
	bake, err := time.ParseDuration(typed)
	if typed == "0" {
		bake, err = 0, nil
	}
	if err != nil || bake < 0 {
		s.print("That is no time: %s.\n", typed)
		return true
	}
	s.strategy.Bake, s.chosen.Bake = bake, &bake
	return true
}

func (s *sheet) askMessage(ctx context.Context) bool {
	typed, ok := s.ask(ctx, "Why you deploy, for the record; Enter alone gives no reason:")
	if ok {
		s.chosen.Message = text.Line(strings.TrimSpace(typed))
	}
	return ok
}

// unfinished is the request that finishes the last deploy of this console, false where there is nothing to finish.
func (a *accessible) unfinished() (engine.Request, bool) {
	r := a.result
	if r == nil || !view.Unfinished(*r) {
		return engine.Request{}, false
	}
	return engine.Request{Resume: true, Meant: r.Upgrade.ID}, true
}
