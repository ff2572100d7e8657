package plain

import (
	"context"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// actChoices are what can be done besides a deploy.
func (a *accessible) actChoices() []choice {
	var choices []choice
	add := func(there bool, words string, do func(context.Context) bool) {
		if there {
			choices = append(choices, choice{words, do})
		}
	}
	add(a.o.Acts.Doctor != nil, "Doctor: check what a deploy depends on", a.examine)
	add(a.o.Acts.Withdraw != nil, "Withdraw the hot upgrade from the record", a.withdraw)
	add(a.o.Acts.Freeze != nil, "Freeze deploys for a time", a.freeze)
	add(a.o.Acts.Release != nil, "Release the deploy lock: end a freeze, or a dead lock", a.release)
	return choices
}

// examine tells each check as it ends.
func (a *accessible) examine(ctx context.Context) bool {
	a.print("Checking what a deploy depends on.\n")
	var all []engine.Check
	err := a.o.Acts.Doctor(ctx, func(c engine.Check) {
		all = append(all, c)
		a.print("%s: %s\n", checkOutcomes[c.Status], checkWords(c))
		if c.Remedy != "" {
			a.print("What to do: %s\n", c.Remedy)
		}
	})
	if err == nil {
		a.printLines([]cells.Line{view.DoctorTotals(all)})
	}
	return ctx.Err() == nil
}

var checkOutcomes = map[engine.CheckStatus]string{
	engine.CheckOK: "ok", engine.CheckWarn: "warning", engine.CheckFail: "failed", engine.CheckSkipped: "skipped",
}

func checkWords(c engine.Check) string {
	if c.Machine != "" {
		return sprintf("%s, machine %s, %s", c.Name, c.Machine, c.Text)
	}
	return sprintf("%s, %s", c.Name, c.Text)
}

func (a *accessible) withdraw(ctx context.Context) bool {
	why, ok := a.ask(ctx, "Why you withdraw it, for the record; Enter alone gives no reason:")
	if !ok {
		return false
	}
	change, err := a.o.Acts.Withdraw(ctx, why)
	return a.agree(ctx, change, err, a.typesName("withdraw it"))
}

func (a *accessible) release(ctx context.Context) bool {
	change, err := a.o.Acts.Release(ctx)
	return a.agree(ctx, change, err, a.typesName("release it"))
}

func (a *accessible) freeze(ctx context.Context) bool {
	why, ok := a.ask(ctx, "Why nobody may deploy; Enter alone goes back:")
	if !ok || why == "" {
		return ok
	}
	end, ok := a.ask(ctx, "Until when, such as 2h, 18:00 or 2026-11-28 08:00; Enter alone means an hour:")
	if !ok {
		return false
	}
	change, err := a.o.Acts.Freeze(ctx, why, end)
	return a.agree(ctx, change, err, a.choosesIt("Freeze deploys"))
}

// agree tells what would change, and changes it once the operator agrees.
func (a *accessible) agree(ctx context.Context, change Change, err error, agreed func(context.Context) (yes, more bool)) bool {
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return ctx.Err() == nil
	}
	a.printLines(cells.Paragraph(cells.Normal, change.Question, accessibleWidth))
	if change.Make == nil {
		return true
	}
	yes, more := agreed(ctx)
	switch {
	case yes:
		a.change(ctx, change)
	case more:
		a.print("Nothing was changed.\n")
	}
	return more && ctx.Err() == nil
}

func (a *accessible) change(ctx context.Context, change Change) {
	done, err := change.Make(ctx)
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return
	}
	a.printLines(cells.Paragraph(cells.Normal, done, accessibleWidth))
}

// typesName agrees by the app's name.
func (a *accessible) typesName(to string) func(context.Context) (yes, more bool) {
	return func(ctx context.Context) (yes, more bool) {
		typed, more := a.ask(ctx, "Type "+a.o.App+" to "+to+", anything else to go back:")
		return typed == a.o.App, more
	}
}

// choosesIt agrees by the second number.
func (a *accessible) choosesIt(label string) func(context.Context) (yes, more bool) {
	return func(ctx context.Context) (yes, more bool) {
		more = a.choose(ctx, []choice{
			{"Cancel", func(context.Context) bool { return true }},
			{label, func(context.Context) bool { yes = true; return true }},
		})
		return yes, more
	}
}
