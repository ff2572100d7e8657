package plain

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// home shows the fleet and offers what can be done with it, again and again.
func (a *accessible) home(ctx context.Context) {
	a.print("%s, reading the fleet.\n", a.o.App)
	for again := true; again && ctx.Err() == nil && a.out.err == nil; {
		overview, err := a.o.Backend.Overview(ctx)
		slices.SortStableFunc(overview.Machines, view.ByRegionAndName)
		f := view.NewFleet(overview, a.code)
		a.seen = overview.Machines
		a.print("\n%s, fleet%s\n", a.o.App, a.readOnly())
		a.tellFleet(&f, err, time.Now())
		choices := []choice{{"Look again", func(context.Context) bool { return true }}}
		if err == nil && !a.o.ReadOnly {
			choices = append(choices, a.deployChoices(&f)...)
			choices = append(choices, a.trialChoices(overview.Trial)...)
		}
		choices = append(choices, a.lockChoices(&f)...)
		choices = append(append(choices, choice{"Record of deploys", func(ctx context.Context) bool { return a.history(ctx, &f) }}), a.looks(&f)...)
		choices = append(append(choices, a.visitChoices(&f)...), a.actChoices()...)
		again = a.choose(ctx, append(choices, choice{"Quit", func(context.Context) bool { return false }}))
	}
}

func (a *accessible) readOnly() string {
	if a.o.ReadOnly {
		return ", read-only"
	}
	return ""
}

func (a *accessible) tellFleet(f *view.Fleet, err error, now time.Time) {
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return
	}
	count := f.States()
	if n := len(f.Selected(a.o.Preselect)); n > 0 {
		count = append(count, cells.New(cells.Active, " · "+text.Count(n)+" marked"))
	}
	a.printLines([]cells.Line{count, f.Upgrade(now), f.Lock(now)})
	if a.filter != "" {
		a.print("%s of %s shown, by the filter %s.\n", text.Count(len(a.shown(f))), text.Counted(len(f.Overview.Machines), "machine"), spoken(a.filter))
	}
	for i, m := range f.Overview.Machines {
		if !f.Lets(a.filter, m) {
			continue
		}
		vitals := ""
		if v, told := a.vitals[m.ID]; told && v.Instance == m.InstanceID {
			vitals = ", " + view.LastVitalsText(v, now)
		}
		a.print("machine %d: %s, name %s, region %s, %s, group %s, %s, runs %s%s%s\n", i+1, m.ID, m.Name,
			m.Region, m.State, m.ProcessGroup, checksText(m), f.Runs(m).Text, noteText(f.Note(m)), vitals)
	}
}

// shown are the machines that the filter lets through.
func (a *accessible) shown(f *view.Fleet) []engine.Machine {
	return slices.DeleteFunc(slices.Clone(f.Overview.Machines), func(m engine.Machine) bool { return !f.Lets(a.filter, m) })
}

func checksText(m engine.Machine) string {
	if m.ChecksTotal == 0 {
		return "no checks"
	}
	return "checks " + text.Count(m.ChecksPassed) + " of " + text.Count(m.ChecksTotal)
}

func noteText(note cells.Span) string {
	switch {
	case note.Text == "–":
		return ""
	case note.Tone == cells.OK:
		return ", code as recorded"
	}
	return ", " + note.Text
}

func (a *accessible) deployChoices(f *view.Fleet) []choice {
	deploy := func(sel engine.Selection) func(context.Context) bool {
		return func(ctx context.Context) bool { return a.askDeploy(ctx, f, engine.Request{Select: sel}, "") }
	}
	var choices []choice
	if finish, is := a.unfinished(); is {
		choices = append(choices, choice{"Finish the deploy " + finish.Meant, func(ctx context.Context) bool {
			return a.askDeploy(ctx, f, finish, "what deploy "+finish.Meant+" has built")
		}})
	}
	if marked := f.Selected(a.o.Preselect); len(marked) > 0 {
		choices = append(choices, choice{"Deploy to " + view.Named(marked, 1000), deploy(engine.Selection{Machines: marked})})
	}
	if a.filter == "" { // a filter is no selection
		choices = append(choices, choice{"Deploy to all machines", deploy(engine.Selection{})})
	} else if ids := takingPart(a.shown(f)); len(ids) > 0 {
		choices = append(choices, choice{"Deploy to what is shown, " + view.Named(ids, 1000), deploy(engine.Selection{Machines: ids})})
	}
	return append(choices,
		choice{"Choose machines, then deploy to them", func(ctx context.Context) bool {
			if ids := a.chooseMachines(ctx, f); len(ids) > 0 {
				return a.askDeploy(ctx, f, engine.Request{Select: engine.Selection{Machines: ids}}, "")
			}
			return ctx.Err() == nil
		}})
}

func takingPart(machines []engine.Machine) []string {
	var ids []string
	for _, m := range machines {
		if view.TakesPart(m) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// trialChoices offer to end what is on trial.
func (a *accessible) trialChoices(t *engine.Trial) []choice {
	if t == nil || t.Over(time.Now()) {
		return nil
	}
	var choices []choice
	for _, how := range []engine.TrialEnd{engine.TrialConfirmed, engine.TrialTakenBack} {
		words := view.TrialEnding(t, how)
		choices = append(choices, choice{words.Title + ", which is on trial", func(ctx context.Context) bool {
			a.print("\n%s.\n%s.\n%s\n", t.Describe(time.Now()), view.Named(slices.Sorted(maps.Keys(t.Machines)), 1000), words.About)
			return a.choose(ctx, []choice{
				{"Cancel", func(context.Context) bool { return true }},
				{words.Label, func(ctx context.Context) bool {
					a.deploy(ctx, engine.Request{EndTrial: how, Meant: t.ID})
					return ctx.Err() == nil
				}},
			})
		}})
	}
	return choices
}

// chooseMachines gives the ids of the machines whose numbers were typed, nil for none.
func (a *accessible) chooseMachines(ctx context.Context, f *view.Fleet) []string {
	typed, ok := a.ask(ctx, "Numbers of the machines, separated by spaces; Enter alone goes back:")
	var ids []string
	for word := range strings.FieldsSeq(typed) {
		n, err := strconv.Atoi(word)
		if !ok || err != nil || n < 1 || n > len(f.Overview.Machines) || !f.Lets(a.filter, f.Overview.Machines[n-1]) {
			a.print("There is no machine number %s.\n", word)
			return nil
		}
		m := f.Overview.Machines[n-1]
		if !view.TakesPart(m) {
			a.print("%s is never part of a deploy: %s.\n", m.ID, view.WhyLeftOut(m))
			return nil
		}
		if !slices.Contains(ids, m.ID) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}
