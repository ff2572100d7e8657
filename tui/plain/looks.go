package plain

import (
	"context"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/view"
	"flydeploy/tui/views"
)

// looks are the choices that change nothing on the fleet.
func (a *accessible) looks(f *view.Fleet) []choice {
	filter := "Filter: show only some of the machines"
	if a.filter != "" {
		filter = "Filter: change " + spoken(a.filter) + ", or show all machines"
	}
	all := []choice{{"Vitals: ask every VM for its memory, processes and code", a.inspect}, {filter, a.askFilter}}
	if a.o.Views.Keeps() {
		all = append(all, choice{"Views: filters that are kept", a.askView})
	}
	if a.o.Logs != nil {
		all = append(all, choice{"Logs of the machines", func(ctx context.Context) bool { return a.logs(ctx, f) }})
	}
	if a.o.Apps != nil {
		all = append(all, choice{"Apps: open another one", a.openApp})
	}
	return all
}

// inspect asks every VM; what they say is told with the fleet.
func (a *accessible) inspect(ctx context.Context) bool {
	a.print("Asking every VM.\n")
	o, err := a.o.Backend.Inspect(ctx)
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return ctx.Err() == nil
	}
	code, vitals, differ := view.Answers(o, time.Now())
	a.code = code
	for id, v := range vitals {
		a.vitals[id] = v
	}
	a.print("%s.\n", view.Asked(len(code), differ))
	return true
}

// spoken is a filter in words.
func spoken(filter string) string {
	if words, inverts := strings.CutPrefix(filter, "!"); inverts {
		return "not " + strings.TrimSpace(words)
	}
	return filter
}

func (a *accessible) askFilter(ctx context.Context) bool {
	typed, ok := a.ask(ctx, "Words that machines must have; "+view.FilterRegion+" and "+view.FilterGroup+" before a word mean these alone, an exclamation mark before all inverts; Enter alone shows all machines:")
	if ok {
		a.filter = typed
	}
	return ok
}

// askView tells the views, and shows, keeps or deletes one.
func (a *accessible) askView(ctx context.Context) bool {
	all, err := a.o.Views.List()
	if err != nil {
		a.print("%s.\n", err.Error())
		return true
	}
	for i, v := range all {
		a.print("view %d: %s, %s\n", i+1, v.Name, spoken(v.Filter))
	}
	if len(all) == 0 {
		a.print("No view is kept for this app.\n")
	}
	typed, ok := a.ask(ctx, "Number of a view to show, save and a name to keep the filter, delete and a number; Enter alone goes back:")
	word, rest, _ := strings.Cut(typed, " ")
	switch {
	case !ok || typed == "":
	case strings.EqualFold(word, "save"):
		a.saveView(views.View{Name: rest, Filter: a.filter})
	case strings.EqualFold(word, "delete"):
		if v, is := a.numbered(all, rest); is {
			a.deleteView(ctx, v)
		}
	default:
		if v, is := a.numbered(all, typed); is {
			a.filter = v.Filter
		}
	}
	return ok
}

func (a *accessible) numbered(all []views.View, typed string) (views.View, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(typed))
	if err != nil || n < 1 || n > len(all) {
		a.print("There is no view number %s.\n", typed)
		return views.View{}, false
	}
	return all[n-1], true
}

func (a *accessible) saveView(v views.View) {
	if err := a.o.Views.Save(v); err != nil {
		a.print("Not kept: %s.\n", err.Error())
		return
	}
	a.print("Kept %s as %s.\n", spoken(v.Filter), v.Name)
}

func (a *accessible) deleteView(ctx context.Context, v views.View) {
	a.choose(ctx, []choice{
		{"Cancel", func(context.Context) bool { return true }},
		{"Delete the view " + v.Name, func(context.Context) bool {
			if err := a.o.Views.Delete(v.Name); err != nil {
				a.print("%s.\n", err.Error())
				return true
			}
			a.print("Deleted.\n")
			return true
		}},
	})
}

// learn keeps what the machines have told in the deploy.
func (c *conversation) learn() {
	instances := engine.ByID(c.seen)
	for id, at := range c.told {
		if v, told := view.VitalsOfDeploy(c.p.Machine(id), instances[id].InstanceID, at); told {
			c.vitals[id] = v
		}
	}
}
