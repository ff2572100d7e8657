package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"flydeploy/engine"
)

// Plain writes one full line for each change, "[n/N] machine phase result", until the deploy has ended; no escapes, no
// prompts: the deploy must be one that asks nothing (any more). p is the progress so far, of a deploy that a console has
// left; nil for none. It gives the progress at the end. When ctx ends the deploy is stopped, and followed to its end all
// the same.
func Plain(ctx context.Context, w io.Writer, d Deployment, p *engine.Progress) (*engine.Progress, error) {
	if p == nil {
		p = engine.NewProgress()
	}
	out := &plain{w: w, p: p}
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
	w io.Writer
	p *engine.Progress
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
		if _, err := io.WriteString(o.w, o.line(e)+o.findings(e)); err != nil {
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
		return head + " | " + clean(e.Log) + "\n"
	}
	parts := []string{head, string(e.Status)}
	if e.Status.Final() && e.DurationUS > 0 {
		parts = append(parts, "in "+micros(e.DurationUS))
	}
	if how := amount(e.Done, e.Total, e.Unit); how != "" {
		parts = append(parts, "("+how+")")
	}
	text := strings.Join(parts, " ")
	if e.Problem != nil {
		return text + ": " + clean(e.Problem.What) + remedyOf(e.Problem) + "\n"
	}
	if e.Text != "" {
		text += ": " + clean(e.Text)
	}
	return text + "\n"
}

// headOf is "[n/N] machine phase": the machine's number, or of the whole fleet the step's.
func (o *plain) headOf(e engine.Event) string {
	if e.Machine == "" {
		return fmt.Sprintf("[%d/%d] fleet %s", fleetStep(e.Phase), len(engine.FleetPhases), clean(e.Phase.Title()))
	}
	return fmt.Sprintf("[%d/%d] %s %s", o.number(e.Machine), len(o.p.Machines), clean(e.Machine), clean(e.Phase.Title()))
}

func remedyOf(p *engine.Problem) string {
	if p.Remedy == "" {
		return ""
	}
	return " -> " + clean(p.Remedy)
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

// findings are the plan's, a line each, when it is shown first.
func (o *plain) findings(e engine.Event) string {
	if e.Plan == nil || e.Status != engine.StatusRunning {
		return ""
	}
	var b strings.Builder
	for _, f := range e.Plan.Findings {
		fmt.Fprintf(&b, "%s | %s %s: %s", o.headOf(e), f.Severity, clean(f.Name), clean(f.What))
		if f.Remedy != "" {
			b.WriteString(" -> " + clean(f.Remedy))
		}
		if len(f.Machines) > 0 {
			b.WriteString(" (" + named(f.Machines, 120) + ")")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
