package deploy_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
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
