package tui

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
)

// Plain writes one full line for each change, "[n/N] machine phase result", until the deploy has ended; no escapes, no
// prompts: the deploy must be one that asks nothing (any more). p is the progress so far, of a deploy that a console has
// left; nil for none. It gives the progress at the end. When ctx ends the deploy is stopped, and followed to its end all
// the same.
func Plain(ctx context.Context, w io.Writer, d Deployment, p *engine.Progress) (*engine.Progress, error) {
	if p == nil {
		p = engine.NewProgress()
	}
	out := &plain{w: w, p: p, planned: p.Plan != nil}
	err := each(ctx, d, func(batch []engine.Event) error {
		return out.batch(batch)
	})
	return p, err
}

// JSON writes one event a line, as it is; otherwise it is like Plain.
func JSON(ctx context.Context, w io.Writer, d Deployment) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return each(ctx, d, func(batch []engine.Event) error {
		for _, e := range batch {
			if err := enc.Encode(e); err != nil {
				return fmt.Errorf("write event %d: %w", e.Seq, err)
			}
		}
		return nil
	})
}

// each hands over events until the last. When ctx ends it stops the deploy and goes on reading; when show fails it
// stops the deploy and reads the rest away.
func each(ctx context.Context, d Deployment, show func([]engine.Event) error) error {
	stopped := context.AfterFunc(ctx, d.Stop)
	defer stopped()
	var failed error
	for {
		batch, err := d.Next(context.WithoutCancel(ctx))
		if errors.Is(err, io.EOF) {
			return failed
		}
		if err != nil {
			return fmt.Errorf("read the deploy's events: %w", err)
		}
		if failed == nil {
			if failed = show(batch); failed != nil {
				d.Stop()
			}
		}
	}
}

type plain struct {
	w       io.Writer
	p       *engine.Progress
	planned bool // the plan was shown
	asks    bool // the question about the plan shows it
}

// batch applies events, then tells each status that is new.
func (o *plain) batch(batch []engine.Event) error {
	var told []engine.Event
	for _, e := range batch {
		was := o.status(e)
		o.p.Apply(e)
		if e.Log != "" || o.status(e) != was && e.Status != engine.StatusPending {
			told = append(told, e)
		}
	}
	for _, e := range told {
		if _, err := io.WriteString(o.w, o.line(e)+o.plan(e)); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	return nil
}

func (o *plain) status(e engine.Event) engine.Status {
	if e.Machine == "" {
		return o.p.Fleet[e.Phase].Status
	}
	m := o.p.Machine(e.Machine)
	if m == nil || e.Attempt != m.Attempt {
		return ""
	}
	return m.Phases[e.Phase].Status
}

// line is one event in the words that the console uses too.
func (o *plain) line(e engine.Event) string {
	head := o.headOf(e)
	if e.Log != "" {
		return head + " | " + text.Line(e.Log) + "\n"
	}
	parts := []string{head, string(e.Status)}
	if e.Status.Final() && e.DurationUS > 0 {
		parts = append(parts, "in "+micros(e.DurationUS))
	}
	if how := amount(e.Done, e.Total, e.Unit); how != "" {
		parts = append(parts, "("+how+")")
	}
	said := strings.Join(parts, " ")
	if e.Problem != nil {
		return said + ": " + text.Line(e.Problem.What) + remedyOf(e.Problem) + "\n"
	}
	if e.Text != "" {
		said += ": " + text.Line(e.Text)
	}
	return said + "\n"
}

// headOf is "[n/N] machine phase": the machine's number, or of the whole fleet the step's.
func (o *plain) headOf(e engine.Event) string {
	if e.Machine == "" {
		return fmt.Sprintf("[%d/%d] fleet %s", fleetStep(e.Phase), len(engine.FleetPhases), text.Line(e.Phase.Title()))
	}
	return fmt.Sprintf("[%d/%d] %s %s", o.number(e.Machine), len(o.p.Machines), text.Line(e.Machine), text.Line(e.Phase.Title()))
}

func remedyOf(p *engine.Problem) string {
	if p.Remedy == "" {
		return ""
	}
	return " -> " + text.Line(p.Remedy)
}

func fleetStep(p engine.Phase) int {
	for i, phase := range engine.FleetPhases {
		if phase == p {
			return i + 1
		}
	}
	return 0
}

func (o *plain) number(id string) int {
	for i, m := range o.p.Machines {
		if m.ID == id {
			return i + 1
		}
	}
	return 0
}

// plan is the plan in lines, with the first event that carries it: events may have been merged, so that the question was
// never seen.
func (o *plain) plan(e engine.Event) string {
	if e.Plan == nil || o.planned || o.asks && e.Status == engine.StatusRunning {
		return ""
	}
	o.planned = true
	var b strings.Builder
	for _, text := range planTexts(e.Plan) {
		b.WriteString(o.headOf(e) + " | " + text + "\n")
	}
	return b.String()
}

// planTexts is what a plan says: modules by change, processes by module, findings with cause and remedy, machines that
// are left out.
func planTexts(p *engine.Plan) []string {
	texts := moduleTexts(p.Modules)
	for _, s := range processSums(p) {
		texts = append(texts, fmt.Sprintf("suspends %s of %s (%s) on %s", text.Counted(s.Count, "process"), text.Line(moduleName(s.Module)), text.Line(s.Kind), text.Counted(s.machines, "machine")))
	}
	for _, f := range p.Findings {
		finding := fmt.Sprintf("%s %s: %s", f.Severity, text.Line(f.Name), text.Line(f.What))
		if f.Remedy != "" {
			finding += " -> " + text.Line(f.Remedy)
		}
		if len(f.Machines) > 0 {
			finding += " (" + named(f.Machines, 120) + ")"
		}
		texts = append(texts, finding)
	}
	for _, m := range p.Machines {
		if m.UpToDate {
			texts = append(texts, "up to date "+text.Line(m.Machine.ID))
		}
	}
	for _, m := range p.LeftOut {
		texts = append(texts, fmt.Sprintf("left out %s: %s", text.Line(m.ID), text.Line(m.LeftOut)))
	}
	return texts
}

// moduleTexts lists the modules of each application by change.
func moduleTexts(modules []engine.ModuleChange) []string {
	type group struct{ change, app string }
	var order []group
	names := map[group][]string{}
	for _, m := range modules {
		g := group{m.Change, m.App}
		if names[g] == nil {
			order = append(order, g)
		}
		names[g] = append(names[g], text.Line(moduleName(m.Module)))
	}
	slices.SortStableFunc(order, func(a, b group) int { return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.change, b.change)) })
	var texts []string
	for _, g := range order {
		texts = append(texts, fmt.Sprintf("%s %s of %s: %s", text.Line(g.change), text.Counted(len(names[g]), "module"), text.Line(g.app), strings.Join(names[g], ", ")))
	}
	return texts
}
