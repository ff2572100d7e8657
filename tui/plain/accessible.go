package plain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/prompt"
	"flydeploy/tui/view"
	"flydeploy/tui/views"
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
	// Logs reads what the machines print, Apps lists the apps that the token may see, Views keeps filters of the fleet; without one it
	// is not offered.
	Logs  engine.Logs
	Apps  func(context.Context) ([]engine.FlyApp, error)
	Views views.Store
	// Terminal looks up how to open a shell on a machine, or with iex an IEx in its VM; nil: none is offered. When ctx ends, so does what
	// was opened.
	Terminal func(ctx context.Context, machine string, iex bool) (Visit, error)
	// Watch follows a deploy that somebody else runs; nil: that is not offered.
	Watch func(id string) engine.Source
	Acts  Acts     // what can be done besides a deploy
	Wrong []string // what somebody has set that cannot be
	// Recall gives the command that shows a deploy again, for its summary; nil or "" for none.
	Recall func(engine.Result) string
	Input  io.Reader // answers, a line each
	Output io.Writer
}

// Backend is what Accessible asks of the app. Only Deploy changes anything.
type Backend interface {
	// Overview reads the fleet; Inspect asks every VM as well.
	Overview(context.Context) (engine.Overview, error)
	Inspect(context.Context) (engine.Overview, error)
	// Deploy starts a deploy.
	Deploy(engine.Request) (Deployment, error)
	// Sheet tells what a deploy would be as the command line says. It looks at this computer only.
	Sheet(context.Context) (engine.Sheet, error)
	// History reads the record of past deploys, the newest first.
	History(context.Context) ([]engine.Past, error)
	// Events gives the recorded stream of a deploy with its result, nil where it has none.
	Events(ctx context.Context, id string) ([]engine.Event, *engine.Result, error)
}

// Ended is how the accessible console was left: the result of the last deploy that ended, nil for none, and the app on which another
// console is wanted, "" for none.
type Ended struct {
	Result *engine.Result
	App    string
}

// Accessible is the console for screen readers and for terminals that cannot repaint: plain lines and numbered choices,
// no alternate screen, no borders, no spinners. When ctx ends a deploy under way is stopped, and followed until it is
// settled. Summaries are among the lines.
func Accessible(ctx context.Context, o Options) (Ended, error) {
	a, stop := newAccessible(o)
	defer stop()
	if o.StartDeploy && !o.ReadOnly {
		a.deploy(ctx, engine.Request{Select: o.Preselect})
	} else {
		a.home(ctx)
	}
	return Ended{a.result, a.app}, errors.Join(a.out.err, context.Cause(ctx))
}

func newAccessible(o Options) (a *accessible, stop func()) {
	a = &accessible{o: o, out: &output{to: o.Output}, vitals: map[string]view.LastVitals{}}
	a.answers, a.stop = prompt.Lines(o.Input)
	for _, says := range o.Wrong {
		a.print("%s\n", says)
	}
	if len(o.Wrong) > 0 {
		a.print("There the console keeps its defaults.\n")
	}
	return a, func() { a.stop() }
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
	stop    func() // ends the reading of answers
	result  *engine.Result
	app     string                     // on which another console is wanted, "" for none
	filter  string                     // of the fleet, "" for none
	code    map[string]view.Inspected  // what VMs have said, by machine
	vitals  map[string]view.LastVitals // likewise, or told in a deploy
	seen    []engine.Machine           // the fleet, when it was looked at last
}

// print writes texts as sprintf cleans them.
func (a *accessible) print(format string, args ...any) {
	a.out.write(spokenGlyphs.Replace(sprintf(format, args...)))
}

// spokenGlyphs replaces glyphs that screen readers would spell out.
var spokenGlyphs = strings.NewReplacer(" · ", ", ", "· ", "", "– ", "", "–", "none", "? unknown", "unknown", "? no answer", "no answer", "→", "->", "×", "x ", "! ", "")

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
		a.out.answered()
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
		if c, is := named(choices, typed); is {
			return c.do(ctx)
		}
		a.print("Please type a number from 1 to %d, or the first word of a choice.\n", len(choices))
	}
}

// named is the only choice that begins with a word.
func named(choices []choice, word string) (found choice, is bool) {
	for _, c := range choices {
		if first, _, _ := strings.Cut(c.text, " "); !strings.EqualFold(strings.TrimRight(first, ":,"), word) {
			continue
		}
		if is {
			return choice{}, false
		}
		found, is = c, true
	}
	return found, is
}
