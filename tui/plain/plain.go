// Package plain shows deploys without repainting: as lines, as JSON, as a conversation for screen readers, and their end as
// a summary. It links no Bubble Tea.
package plain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/tui/view"
)

// Lines writes one full line for each change, "[n/N] machine phase result", until the deploy has ended; no escapes, no
// prompts: the deploy must not ask anything (any more). p is the progress so far, of a deploy that a console has
// left; nil for none. When ctx ends the deploy is stopped, and followed to its end all the same.
func Lines(ctx context.Context, w io.Writer, d Deployment, p *engine.Progress) error {
	if p == nil {
		p = engine.NewProgress()
	}
	o := &printer{out: &output{to: w}, p: p, planned: p.Plan != nil}
	return each(ctx, d, d.Stop, func(batch []engine.Event) error {
		o.batch(batch)
		return o.out.err
	})
}

// each hands over events until the last, those that came together in the order in which they happened. When ctx ends it stops the deploy and goes on reading; when show fails it
// stops the deploy and discards the rest.
func each(ctx context.Context, events engine.Source, stop func(), show func([]engine.Event) error) error {
	stopped := context.AfterFunc(ctx, stop)
	defer stopped()
	var failed error
	for {
		batch, err := events.Next(context.WithoutCancel(ctx))
		if errors.Is(err, io.EOF) {
			return failed
		}
		if err != nil {
			return fmt.Errorf("read the deploy's events: %w", err)
		}
		if failed == nil {
			batch = slices.SortedFunc(slices.Values(batch), bySeq)
			if failed = show(batch); failed != nil {
				stop()
			}
		}
	}
}

func bySeq(a, b engine.Event) int { return cmp.Compare(a.Seq, b.Seq) }

// printer writes a deploy's events as lines.
type printer struct {
	out     *output
	p       *engine.Progress
	numbers map[string]int
	planned bool // the plan was shown
	asks    bool // the question about the plan shows it
}

// batch applies events, then tells each status that is new.
func (o *printer) batch(batch []engine.Event) {
	var news []engine.Event
	for _, e := range batch {
		was := o.status(e)
		o.p.Apply(e)
		if e.Log != "" || o.status(e) != was && e.Status != engine.StatusPending {
			news = append(news, e)
		}
	}
	for _, e := range news {
		o.out.tell(o.line(e) + o.plan(e))
	}
}

func (o *printer) status(e engine.Event) engine.Status {
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
func (o *printer) line(e engine.Event) string {
	head := o.headOf(e)
	if e.Log != "" {
		return sprintf("%s | %s\n", head, e.Log)
	}
	line := sprintf("%s %s", head, e.Status)
	if e.Status.Final() && e.DurationUS > 0 {
		line += " in " + view.Micros(e.DurationUS)
	}
	if how := view.Amount(e.Done, e.Total, e.Unit); how != "" {
		line += sprintf(" (%s)", how)
	}
	switch {
	case e.Problem != nil && e.Problem.Remedy != "":
		line += sprintf(": %s -> %s", e.Problem.What, e.Problem.Remedy)
	case e.Problem != nil:
		line += sprintf(": %s", e.Problem.What)
	case e.Text != "":
		line += sprintf(": %s", e.Text)
	}
	if v := view.VitalsText(e.Vitals); v != "" && e.Phase == engine.PhaseWatch && e.Status != engine.StatusRunning {
		line += sprintf(" (%s)", v)
	}
	return line + "\n"
}

// headOf is "[n/N] machine phase": the machine's number, or of the whole fleet the step's.
func (o *printer) headOf(e engine.Event) string {
	if e.Machine == "" {
		return sprintf("[%d/%d] fleet %s", slices.Index(engine.FleetPhases, e.Phase)+1, len(engine.FleetPhases), e.Phase.Title())
	}
	return sprintf("[%d/%d] %s %s", o.number(e.Machine), len(o.p.Machines), e.Machine, e.Phase.Title())
}

// number gives a machine's place among the others, from 1: in the order in which they first had an event.
func (o *printer) number(id string) int {
	if o.numbers == nil {
		o.numbers = map[string]int{}
	}
	for i := len(o.numbers); i < len(o.p.Machines); i++ {
		o.numbers[o.p.Machines[i].ID] = i + 1
	}
	return o.numbers[id]
}

// plan is the plan in lines, with the first event that carries it, or the last of its parts: events may have been merged, so that the
// question was never seen.
func (o *printer) plan(e engine.Event) string {
	if e.Phase != engine.PhasePlan || o.p.Plan == nil || o.planned || o.asks && e.Status == engine.StatusRunning {
		return ""
	}
	o.planned = true
	var b strings.Builder
	for _, line := range planTexts(o.p.Plan) {
		b.WriteString(o.headOf(e) + " | " + line + "\n")
	}
	return b.String()
}

// Deployment is a deploy that runs in the background: *engine.Deployment.
type Deployment interface {
	// Next waits for events and gives all that are there; io.EOF after the last one. It has one reader at a time.
	Next(ctx context.Context) ([]engine.Event, error)
	Answer(engine.Answer)
	// Stop keeps the deploy from starting anything more; it ends by itself.
	Stop()
	// Hurry bounds what is left of a stopped deploy to a few seconds.
	Hurry()
	// Result waits until everything is settled.
	Result() engine.Result
}
