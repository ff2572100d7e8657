package plain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/prompt"
	"flydeploy/tui/view"
)

// Options are those of Accessible.
type Options struct {
	App     string
	Backend Backend
	// Preselect offers these machines for a deploy. With StartDeploy it begins at once.
	Preselect   engine.Selection
	StartDeploy bool
	// Accept names blockers that the command line has accepted: they need not be typed.
	Accept   []string
	ReadOnly bool // nothing that is offered changes anything
	// Recall gives the command that shows a deploy again, for its summary; nil or "" for none.
	Recall func(engine.Result) string
	Input  io.Reader // answers, a line each
	Output io.Writer
}

// Backend is what Accessible asks of the app. Only Deploy changes anything.
type Backend interface {
	// Overview reads the fleet.
	Overview(context.Context) (engine.Overview, error)
	// Deploy starts a deploy.
	Deploy(engine.Request) (Deployment, error)
	// History reads the record of past deploys, the newest first.
	History(context.Context) ([]engine.Past, error)
	// Events gives the recorded stream of a deploy with its result, nil where it has none.
	Events(ctx context.Context, id string) ([]engine.Event, *engine.Result, error)
}

// Accessible is the console for screen readers and for terminals that cannot repaint: plain lines and numbered choices,
// no alternate screen, no borders, no spinners. When ctx ends a deploy under way is stopped, and followed until it is
// settled. Summaries are among the lines. It gives the result of the last deploy that ended, nil for none.
func Accessible(ctx context.Context, o Options) (*engine.Result, error) {
	answers, stop := prompt.Lines(o.Input)
	defer stop()
	a := &accessible{o: o, out: &output{to: o.Output}, answers: answers}
	if o.StartDeploy && !o.ReadOnly {
		a.deploy(ctx, engine.Request{Select: o.Preselect})
	} else {
		a.home(ctx)
	}
	return a.result, errors.Join(a.out.err, context.Cause(ctx))
}

func (o *Options) recall(r engine.Result) string {
	if o.Recall == nil {
		return ""
	}
	r.Upgrade.ID = text.Line(r.Upgrade.ID) // a record may hold anything
	return text.Block(o.Recall(r))
}

type accessible struct {
	o       Options
	out     *output
	answers <-chan string
	result  *engine.Result
}

// print writes texts as sprintf cleans them.
func (a *accessible) print(format string, args ...any) {
	a.out.write(spokenGlyphs.Replace(sprintf(format, args...)))
}

// spokenGlyphs replaces glyphs that screen readers would spell out.
var spokenGlyphs = strings.NewReplacer(" · ", ", ", "· ", "", "– ", "", "–", "none", "→", "->", "×", "x ", "! ", "")

func (a *accessible) printLines(lines []cells.Line) {
	a.out.write(spokenGlyphs.Replace(cells.String(lines)))
}

// ask waits for a line; false when there is none any more, or nobody can read the question.
func (a *accessible) ask(ctx context.Context, prompt string) (string, bool) {
	a.print("%s ", prompt)
	if a.out.err != nil {
		return "", false
	}
	select {
	case typed, ok := <-a.answers:
		return typed, ok
	case <-ctx.Done():
		a.print("\n")
		return "", false
	}
}

// choice is one numbered line of a menu.
type choice struct {
	text string
	do   func(ctx context.Context) (again bool)
}

// choose prints the choices and does the chosen one; false when there is nothing more to ask.
func (a *accessible) choose(ctx context.Context, choices []choice) bool {
	for i, c := range choices {
		a.print("%d. %s\n", i+1, c.text)
	}
	for {
		typed, ok := a.ask(ctx, fmt.Sprintf("Choice (1 to %d):", len(choices)))
		if !ok {
			return false
		}
		if n, err := strconv.Atoi(typed); err == nil && n >= 1 && n <= len(choices) {
			return choices[n-1].do(ctx)
		}
		a.print("Please type a number from 1 to %d.\n", len(choices))
	}
}

// home shows the fleet and offers what can be done with it, again and again.
func (a *accessible) home(ctx context.Context) {
	for again := true; again && ctx.Err() == nil && a.out.err == nil; {
		overview, err := a.o.Backend.Overview(ctx)
		slices.SortStableFunc(overview.Machines, view.ByRegionAndName)
		f := view.NewFleet(overview, nil)
		a.print("\n%s, fleet%s\n", a.o.App, a.readOnly())
		a.tellFleet(&f, err, time.Now())
		choices := []choice{{"Look again", func(context.Context) bool { return true }}}
		if err == nil && !a.o.ReadOnly {
			choices = append(choices, a.deployChoices(&f)...)
			choices = append(choices, a.trialChoices(overview.Trial)...)
		}
		again = a.choose(ctx, append(choices, choice{"Record of deploys", a.history}, choice{"Quit", func(context.Context) bool { return false }}))
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
	for i, m := range f.Overview.Machines {
		a.print("machine %d: %s, name %s, region %s, %s, group %s, checks %d of %d, runs %s%s\n", i+1, m.ID, m.Name,
			m.Region, m.State, m.ProcessGroup, m.ChecksPassed, m.ChecksTotal, f.Runs(m).Text, noteText(f.Note(m)))
	}
}

func noteText(note cells.Span) string {
	if note.Text != "–" {
		return ", " + note.Text
	}
	return ""
}

func (a *accessible) deployChoices(f *view.Fleet) []choice {
	deploy := func(sel engine.Selection) func(context.Context) bool {
		return func(ctx context.Context) bool { a.deploy(ctx, engine.Request{Select: sel}); return ctx.Err() == nil }
	}
	var choices []choice
	if marked := f.Selected(a.o.Preselect); len(marked) > 0 {
		choices = append(choices, choice{"Deploy to " + view.Named(marked, 1000), deploy(engine.Selection{Machines: marked})})
	}
	return append(choices,
		choice{"Deploy to all machines", deploy(engine.Selection{})},
		choice{"Choose machines, then deploy to them", func(ctx context.Context) bool {
			if ids := a.chooseMachines(ctx, f); len(ids) > 0 {
				a.deploy(ctx, engine.Request{Select: engine.Selection{Machines: ids}})
			}
			return ctx.Err() == nil
		}})
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
		if !ok || err != nil || n < 1 || n > len(f.Overview.Machines) {
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

// history tells the past deploys, and one of them in plain lines.
func (a *accessible) history(ctx context.Context) bool {
	past, err := a.o.Backend.History(ctx)
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return true
	}
	for i, p := range past {
		a.print("deploy %d: %s, %s, version %s, %d of %d machines, by %s, id %s\n", i+1, p.At.Local().Format(time.DateTime),
			strings.TrimSpace(view.PastWord(p)), p.Version, p.Upgraded, p.Machines, p.Owner, p.ID)
	}
	typed, ok := a.ask(ctx, "Number of a deploy to read; Enter alone goes back:")
	n, err := strconv.Atoi(typed)
	if !ok || err != nil || n < 1 || n > len(past) {
		return ok
	}
	events, _, err := a.o.Backend.Events(ctx, past[n-1].ID)
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return true
	}
	o := &printer{out: a.out, p: engine.NewProgress()}
	for _, e := range events {
		o.batch([]engine.Event{e})
	}
	return a.out.err == nil
}
