package tui

import (
	"cmp"
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

const (
	graceForDone = 2 * time.Second // a machine that has just ended keeps its place, so that its end is seen
	freezeOrder  = 4 * time.Second // after a move of the cursor
)

// board lists the machines of a deploy as rows, with their totals. It follows each machine by itself, so that an update costs
// no more in a larger fleet.
type board struct {
	rows      []*boardRow // in display order
	byID      map[string]*boardRow
	counts    [view.Ranks]int
	watching  int            // of those that are active: machines that have the upgrade, and are watched
	failures  map[string]int // machines that failed, by their word
	migrated  int
	worst     int64 // longest suspension, microseconds
	upToDate  map[string]bool
	unsorted  bool
	ended     bool // nothing more comes
	watched   bool // machines that have taken the upgrade tell how they do
	pulse     pulse
	sorting   sorting
	list      cells.List
	held      bool      // the cursor stays on its machine also in the first row: its details are being read
	frozen    time.Time // the order stays until then
	idWidth   int
	wordWidth int // of the longest word about a machine
}

type boardRow struct {
	m      *engine.MachineProgress
	s      view.Standing
	ended  time.Time      // when it became done, on the console's clock
	index  int            // order in which the deploy named the machines
	vitals *engine.Vitals // the last that the pulse has
	told   time.Time      // when they came, on the console's clock
}

func newBoard() *board {
	return &board{byID: map[string]*boardRow{}, failures: map[string]int{}, upToDate: map[string]bool{}}
}

// follow takes one machine's news in.
func (b *board) follow(m *engine.MachineProgress, now time.Time) {
	r, known := b.byID[m.ID]
	if !known {
		r = &boardRow{m: m, index: len(b.rows)}
		b.byID[m.ID] = r
		b.rows = append(b.rows, r)
		b.idWidth = max(b.idWidth, cells.Width(text.Line(m.ID)))
		b.unsorted = true
	} else {
		b.tally(r.s, -1)
	}
	if m.Vitals != r.vitals {
		r.vitals, r.told = m.Vitals, now
		b.pulse.take(m.Vitals, now)
	}
	b.watched = b.watched || m.Vitals != nil && m.Phases[engine.PhaseWatch].Status != ""
	was := r.s
	r.s = view.StandingOf(m, b.upToDate[m.ID])
	b.wordWidth = max(b.wordWidth, cells.Width(r.s.Word))
	b.tally(r.s, 1)
	b.unsorted = b.unsorted || b.sorting.key != ""
	if known && was.Rank == r.s.Rank {
		return
	}
	b.unsorted = true
	r.ended = time.Time{}
	if r.s.Rank == view.RankDone && known {
		r.ended = now
	}
}

// plan learns which machines have nothing to do.
func (b *board) plan(p *engine.Plan, now time.Time) {
	for _, m := range p.Machines {
		if r := b.byID[m.Machine.ID]; m.UpToDate && r != nil && !b.upToDate[m.Machine.ID] {
			b.upToDate[m.Machine.ID] = true
			b.follow(r.m, now)
		}
	}
}

// end shows what became of the machines instead of where they stood: some came to no end of their own, and what was staged
// is taken back. The result of an unfinished deploy says nothing about any machine.
func (b *board) end(r engine.Result) {
	b.ended = len(r.Machines) > 0
	for _, m := range r.Machines {
		row := b.byID[m.ID]
		if row == nil {
			continue
		}
		if end := view.EndOf(r, m.Outcome); end.Word != row.s.Word {
			b.tally(row.s, -1)
			row.s = end
			b.wordWidth = max(b.wordWidth, cells.Width(end.Word))
			b.tally(row.s, 1)
			b.unsorted = true
		}
	}
}

// tally adds a machine's standing to the totals (by 1), or takes it out (by -1).
func (b *board) tally(s view.Standing, by int) {
	b.counts[s.Rank] += by
	if s.Watched() {
		b.watching += by
	}
	if s.Rank == view.RankFailed {
		if b.failures[s.Word] += by; b.failures[s.Word] == 0 {
			delete(b.failures, s.Word)
		}
	}
}

// wordOf names the machines of a rank in the totals. Where all failures are of one kind, the totals use the word that the
// rows use.
func (b *board) wordOf(r view.Rank) string {
	switch {
	case r == view.RankWaiting && b.ended:
		return "not upgraded"
	case r == view.RankActive && b.watching == b.counts[r]:
		return "watched"
	case r == view.RankFailed && len(b.failures) == 1:
		for word := range b.failures {
			return word
		}
	}
	return view.RankWords[r]
}

// taking counts the machines that take part.
func (b *board) taking() int { return len(b.rows) - b.counts[view.RankOut] }

// sum counts what the agents reported.
func (b *board) sum() {
	b.migrated, b.worst = 0, 0
	for _, r := range b.rows {
		b.migrated += r.m.Report.Migrated
		b.worst = max(b.worst, r.m.Report.SuspendedUS)
	}
}

// sort puts failures first, then unknown, active, waiting, ready, done. It waits while the cursor moves, and keeps the
// cursor on its machine.
func (b *board) sort(now time.Time) {
	if !b.unsorted || now.Before(b.frozen) {
		return
	}
	b.unsorted = false
	under := b.current()
	slices.SortStableFunc(b.rows, func(x, y *boardRow) int {
		return cmp.Or(b.compare(x, y, now), cmp.Compare(x.index, y.index))
	})
	if under != nil && (b.list.At > 0 || b.held) {
		b.list.At = slices.Index(b.rows, under)
	}
}

func (b *board) compare(x, y *boardRow, now time.Time) int {
	if b.sorting.down {
		x, y = y, x
	}
	if b.sorting.key == "" {
		return cmp.Compare(b.place(x, now), b.place(y, now))
	}
	return orderingOf(boardSorts, b.sorting.key).compare(x, y)
}

// sortBy takes a shift-letter, and reports whether it was one.
func (b *board) sortBy(key string, now time.Time) bool {
	if orderingOf(boardSorts, key) == nil {
		return false
	}
	b.sorting.press(key, byStatus)
	b.unsorted, b.frozen = true, time.Time{}
	b.sort(now)
	return true
}

func (b *board) place(r *boardRow, now time.Time) view.Rank {
	if !r.ended.IsZero() && now.Sub(r.ended) < graceForDone {
		b.unsorted = true // it is placed again when the grace period is over
		return view.RankActive
	}
	return r.s.Rank
}

func (b *board) move(by int, now time.Time) {
	b.list.Move(by, len(b.rows))
	b.frozen = now.Add(freezeOrder)
}

// current is the machine under the cursor, nil where there is none.
func (b *board) current() *boardRow {
	if b.list.At >= len(b.rows) {
		return nil
	}
	return b.rows[b.list.At]
}

// machines gives the machines in display order.
func (b *board) machines() []*engine.MachineProgress {
	all := make([]*engine.MachineProgress, len(b.rows))
	for i, r := range b.rows {
		all[i] = r.m
	}
	return all
}
