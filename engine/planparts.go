package engine

import (
	"encoding/json"
	"slices"
)

// Divided divides a plan, so that the lists of each part take about most bytes as JSON: the plan of a large fleet is too much for one
// line of a stream. A plan that is small enough is its only part. Progress puts them together.
func (p *Plan) Divided(most int) []*Plan {
	d := division{of: p, room: most}
	d.next()
	divide(&d, p.Findings, func(part *Plan) *[]Finding { return &part.Findings })
	divide(&d, p.Modules, func(part *Plan) *[]ModuleChange { return &part.Modules })
	divide(&d, p.Machines, func(part *Plan) *[]MachinePlan { return &part.Machines })
	divide(&d, p.LeftOut, func(part *Plan) *[]Machine { return &part.LeftOut })
	if len(d.parts) == 1 {
		return []*Plan{p}
	}
	for i, part := range d.parts {
		part.Part, part.Parts = i+1, len(d.parts)
	}
	return d.parts
}

// division is a plan that is being divided.
type division struct {
	of    *Plan
	room  int // bytes for the lists of a part
	parts []*Plan
	used  int // of the last part
}

// next begins another part.
func (d *division) next() {
	part := *d.of
	part.Machines, part.Modules, part.Findings, part.LeftOut = []MachinePlan{}, []ModuleChange{}, []Finding{}, nil
	d.parts, d.used = append(d.parts, &part), 0
}

// divide puts a list into the parts, beginning with the last one.
func divide[T any](d *division, all []T, list func(*Plan) *[]T) {
	for _, item := range all {
		text, _ := json.Marshal(item) // what cannot be written is left out of the stream anyway
		if d.used > 0 && d.used+len(text) > d.room {
			d.next()
		}
		d.used += len(text)
		into := list(d.parts[len(d.parts)-1])
		*into = append(*into, item)
	}
}

// joined gives the plan that p, some first parts, and the next part are together. A part that does not follow is left out; a first one
// begins anew. It changes neither.
func (p *Plan) joined(next *Plan) *Plan {
	if next.Part <= 1 {
		first := *next
		first.Machines, first.Modules = slices.Clip(first.Machines), slices.Clip(first.Modules)
		first.Findings, first.LeftOut = slices.Clip(first.Findings), slices.Clip(first.LeftOut)
		return &first
	}
	if p == nil || next.Part != p.Part+1 {
		return p
	}
	sum := *p
	sum.Machines, sum.Modules = append(p.Machines, next.Machines...), append(p.Modules, next.Modules...)
	sum.Findings, sum.LeftOut = append(p.Findings, next.Findings...), append(p.LeftOut, next.LeftOut...)
	sum.Part = next.Part
	return &sum
}

// isWhole reports whether nothing of the plan is missing.
func (p *Plan) isWhole() bool { return p != nil && p.Part == p.Parts }
