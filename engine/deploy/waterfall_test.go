package deploy_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
)

// waterfall shows where each second went of the machine that was resumed last, from the moment when the upgrade was in the bucket: its
// execs, of each how long it travelled (▒) and how long the machine worked or waited (█), and what lay between them.
func (f figures) waterfall() string {
	last := ""
	for _, m := range f.result.Machines {
		if time.UnixMicro(m.ResumedAtUS).Sub(f.packed) == f.resumed {
			last = m.ID
		}
	}
	spans := slices.DeleteFunc(slices.Clone(f.spans), func(s span) bool { return s.machine != last || s.from.Add(s.took).Before(f.packed) })
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from.UnixNano(), b.from.UnixNano()) })
	const cell = 100 * time.Millisecond
	var b strings.Builder
	fmt.Fprintf(&b, "machine %s, resumed %.1f s after the upgrade was in the bucket (▒ travels, █ works or waits, %s each):\n", last, f.resumed.Seconds(), cell)
	at := f.packed
	for _, s := range spans {
		begins := s.from.Sub(f.packed)
		if begins > f.resumed {
			break
		}
		between := max(s.from.Sub(at), 0)
		works := max(s.took-s.travels, 0)
		fmt.Fprintf(&b, "%6.2f s  %-10s %5.2f s travels, %5.2f s works, %5.2f s before  %s%s%s\n", begins.Seconds(), s.what, s.travels.Seconds(), works.Seconds(), between.Seconds(),
			strings.Repeat(" ", int(max(begins, 0)/cell)), strings.Repeat("▒", int(s.travels/cell)), strings.Repeat("█", int(works/cell)))
		at = s.from.Add(s.took)
	}
	return b.String()
}

// instant is when a step of the deploy began or ended, or a machine came to another state.
type instant struct {
	at      time.Time
	machine string // "": a step's
	what    string
}

// note notes an event down that says so.
func (f *figures) note(e engine.Event) {
	m := instant{at: e.At, machine: e.Machine}
	switch {
	case e.Machine == "" && e.Status != engine.StatusRunning:
		m.what = fmt.Sprintf("%s %s: %s", e.Phase, e.Status, e.Text)
	case e.Machine == "":
		m.what = fmt.Sprintf("%s %s", e.Phase, e.Text)
	case e.Problem != nil:
		m.what = string(e.State) + ": " + e.Problem.What
	case e.State != "" && e.Status == engine.StatusDone:
		m.what = fmt.Sprintf("%s, %s", e.State, e.Phase)
	default:
		return
	}
	f.instants = append(f.instants, m)
}

// lastShown is how many of the machines that ended a step last are shown.
const lastShown = 6

// steps shows where the time of a deploy went: its steps, and of each the machines of which something was heard last, with their fates.
func (f figures) steps(fates map[string]fate) string {
	var b strings.Builder
	var last []instant
	for _, m := range f.instants {
		if m.at.Before(f.packed) {
			continue
		}
		if m.machine != "" {
			last = append(last, m)
			continue
		}
		for _, l := range last[max(0, len(last)-lastShown):] {
			fmt.Fprintf(&b, "         %6.1f  %s%s %s\n", l.at.Sub(f.packed).Seconds(), l.machine, fates[l.machine], l.what)
		}
		fmt.Fprintf(&b, "%6.1f  %s\n", m.at.Sub(f.packed).Seconds(), m.what)
		last = nil
	}
	return b.String()
}

func (f fate) String() string {
	switch {
	case f.slow:
		return " (slow)"
	case f.silent > 0:
		return fmt.Sprintf(" (silent from exec %d on)", f.silent)
	case f.dies > 0:
		return fmt.Sprintf(" (dies before exec %d)", f.dies)
	}
	return ""
}
