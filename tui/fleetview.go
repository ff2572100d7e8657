package tui

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// machineState shows a Fly state as a glyph and its word.
func machineState(state string) cells.Span {
	switch state {
	case "started":
		return cells.New(cells.OK, "● "+state)
	case "stopped", "created", "destroyed":
		return cells.New(cells.Muted, "○ "+state)
	case "suspended":
		return cells.New(cells.Warn, "◐ "+state)
	case "failed":
		return cells.New(cells.Fail, "✗ "+state)
	default:
		return cells.New(cells.Active, "· "+state)
	}
}

func checks(m engine.Machine) cells.Span {
	text := fmt.Sprintf("%d/%d", m.ChecksPassed, m.ChecksTotal)
	switch {
	case m.ChecksTotal == 0:
		return cells.Span{Text: "–", Tone: cells.Muted}
	case m.ChecksPassed < m.ChecksTotal:
		return cells.Span{Text: "! " + text, Tone: cells.Warn}
	}
	return cells.Span{Text: "✓ " + text, Tone: cells.OK}
}

func host(m engine.Machine) cells.Span {
	switch m.HostStatus {
	case "ok", "":
		return cells.New(cells.Muted, m.HostStatus)
	case "unreachable":
		return cells.New(cells.Fail, "✗ "+m.HostStatus)
	default:
		return cells.New(cells.Warn, "? "+m.HostStatus)
	}
}

// drift tells how a machine differs from what the fleet should run, or why it never takes part.
func (f *fleet) drift(m engine.Machine) cells.Span {
	switch {
	case !markable(m):
		return cells.New(cells.Muted, whyOut(m))
	case f.image != "" && !engine.SameImage(f.image, m.Image):
		return cells.New(cells.Warn, "! another image")
	}
	if s, asked := f.codeDrift(m); asked {
		return s
	}
	return cells.Span{Text: "–", Tone: cells.Muted}
}

// baseImage is the image that the record names, if any machine runs it, else the one that most machines run.
func baseImage(o engine.Overview) string {
	if o.Metadata != nil && o.Metadata.ImageRef != "" && !o.StaleRecord() {
		return o.Metadata.ImageRef
	}
	count := map[string]int{}
	best := ""
	for _, m := range o.Machines {
		if !markable(m) {
			continue
		}
		if count[m.Image]++; count[m.Image] > count[best] {
			best = m.Image
		}
	}
	return best
}

// cells of one machine, in the order of fleetColumns.
func (f *fleet) cells(m engine.Machine) []cells.Span {
	name, image := cells.New(cells.Normal, m.Name), cells.New(cells.Muted, strings.TrimPrefix(engine.Tag(m.Image), "deployment-"))
	if !markable(m) {
		name.Tone = cells.Muted
	}
	mark := cells.Span{Text: " "}
	if f.marked[m.ID] {
		mark = cells.Span{Text: "◆", Tone: cells.Active}
	}
	return []cells.Span{
		mark, machineState(m.State), cells.New(name.Tone, m.ID), name, cells.New(cells.Muted, m.Region), cells.New(cells.Muted, m.ProcessGroup), checks(m),
		f.runs(m), image, host(m), f.note(m),
	}
}

// note is what one should know about a machine: why it never takes part, that its host is in trouble, its drift.
func (f *fleet) note(m engine.Machine) cells.Span {
	if h := host(m); markable(m) && h.Tone != cells.Muted {
		h.Text = "! host " + m.HostStatus
		return cells.New(h.Tone, h.Text)
	}
	return f.drift(m)
}

// fleetName is what a name gets at most: what Fly makes up fits; the details tell a longer one in full.
const fleetName = 16

// fleetColumns measures the columns over all machines, so that scrolling does not shift them. Regions have headings
// where the table is ordered by them, else a column.
func fleetColumns(f *fleet) []cells.Column {
	arrow := func(title, key string) string { return title + f.sorting.arrow(key) }
	cols := []cells.Column{
		{Title: " "}, {Title: arrow("STATE", "S")}, {Title: arrow("MACHINE", "M")}, {Title: arrow("NAME", "N"), Drop: 4},
		{Title: "RGN", Drop: 6}, {Title: "GROUP", Drop: 3}, {Title: arrow("CHECKS", "C"), Drop: 5}, {Title: "RUNS"},
		{Title: arrow("IMAGE", "I"), Drop: 1}, {Title: "HOST", Drop: 2}, {Title: "DRIFT", Width: 10, Grows: true},
	}
	for _, m := range f.overview.Machines {
		for i, cell := range f.cells(m) {
			if !cols[i].Grows {
				cols[i].Width = min(max(cols[i].Width, cells.Width(cell.Text)), 26)
			}
		}
	}
	cols[3].Width = min(cols[3].Width, fleetName)
	if f.sorting.key == "" {
		cols[4] = cells.Column{Gone: true}
	}
	for i := range cols {
		if strings.ContainsAny(cols[i].Title, "↑↓") {
			cols[i].Drop = 0 // what a table is sorted by stays visible
		}
	}
	return cols
}

// table renders the machines for w×h cells.
func (f *fleet) table(w, h int) []cells.Line {
	switch {
	case !f.seen && f.err != nil:
		return cells.Fill(problemLines(engine.AsProblem(f.err), w), w, h)
	case !f.seen:
		return cells.Fill([]cells.Line{nil, {cells.Span{Text: "  Reading the fleet…", Tone: cells.Muted}}}, w, h)
	case len(f.rows) == 0:
		return cells.Fill([]cells.Line{nil, {cells.New(cells.Muted, "  "+f.emptyText())}}, w, h)
	}
	cols := cells.FitColumns(f.columns, w-2)
	lines := []cells.Line{append(cells.Line{cells.Blank(2)}, cells.Head(cols)...)}
	from, to := f.list.Window(len(f.rows), h-1)
	if heading := f.headingOf(from); heading < from && f.sorting.key == "" { // it is scrolled away: it stays on top
		lines = append(lines, f.rowLine(heading, cols, w))
		to = min(to, from+h-2)
	}
	for i := from; i < to; i++ {
		lines = append(lines, f.rowLine(i, cols, w))
	}
	return cells.Fill(lines, w, h)
}

// headingOf gives the row with the heading of a row's region.
func (f *fleet) headingOf(i int) int {
	for i > 0 && f.rows[i].m.ID != "" {
		i--
	}
	return i
}

func (f *fleet) emptyText() string {
	if f.filter != "" {
		return "No machine matches " + f.filter + ". esc clears the filter."
	}
	return "The app has no machines. Deploy it cold first: fly deploy"
}

func (f *fleet) rowLine(i int, cols []cells.Column, w int) cells.Line {
	r := f.rows[i]
	if r.m.ID == "" {
		return cells.Line{cells.New(cells.Strong, "  "+r.region), cells.New(cells.Muted, "  "+text.Counted(r.count, "machine"))}.Fit(w)
	}
	return cells.ListRow(cells.Row(cols, f.cells(r.m)), i == f.list.At, w)
}

// headline counts machines, marks and what the filter hides.
func (f *fleet) headline() cells.Line {
	if !f.seen {
		return nil
	}
	states := map[string]int{}
	for _, m := range f.overview.Machines {
		states[m.State]++
	}
	l := cells.Line{cells.New(cells.Strong, text.Counted(len(f.overview.Machines), "machine"))}
	for _, state := range []string{"started", "stopped", "suspended", "failed"} {
		if n := states[state]; n > 0 && n < len(f.overview.Machines) {
			l = append(l, cells.New(cells.Muted, " · "+text.Count(n)+" "+state))
		}
	}
	visible, hidden := f.marks()
	if n := len(visible) + len(hidden); n > 0 {
		l = append(l, cells.New(cells.Active, " · "+text.Count(n)+" marked"))
	}
	if len(hidden) > 0 {
		l = append(l, cells.New(cells.Warn, ", "+text.Count(len(hidden))+" hidden"))
	}
	switch {
	case f.filtering:
		l = append(l, cells.New(cells.Active, " · / "+f.filter+"█"))
	case f.filter != "":
		l = append(l, cells.New(cells.Active, " · / "+f.filter))
	}
	return l
}

// status tells the lock, or what is wrong with what is shown.
func (f *fleet) status(c *console) cells.Line {
	lock := f.overview.Lock
	switch {
	case f.err != nil && f.seen:
		return cells.Line{cells.New(cells.Warn, "! as of "+when(f.lookedAt, c.now)+": "+f.err.Error())}
	case f.overview.Storage != nil:
		return cells.Line{cells.New(cells.Warn, "! storage: "+f.overview.Storage.What)}
	case lock != nil && lock.ExpiresAt.Before(c.now):
		return cells.Line{cells.New(cells.Muted, "lock of "+lock.LockedBy+" expired")}
	case lock != nil:
		return cells.Line{cells.New(cells.Warn, "! locked by "+lock.LockedBy+" since "+when(lock.LockedAt, c.now))}
	case f.seen:
		return cells.Line{cells.New(cells.Muted, "no deploy under way")}
	}
	return nil
}

// upgrade is the fleet's current upgrade, and when it came, for the title.
func (f *fleet) upgrade(now time.Time) cells.Line {
	md := f.overview.Metadata
	switch {
	case md == nil:
		return cells.Line{{Text: "no hot upgrade yet", Tone: cells.Muted}}
	case f.overview.StaleRecord():
		return cells.Line{{Text: "record stale: deployed cold since", Tone: cells.Muted}}
	case md.HotUpgrade != nil:
		l := cells.Line{cells.New(cells.OK, "hot "+md.HotUpgrade.Version)}
		if at := md.HotUpgrade.DeployedAt; !at.IsZero() {
			l = append(l, cells.New(cells.Muted, ", deployed "+ago(now.Sub(at))))
		}
		return l
	case len(md.MachineUpgrades) > 0:
		return cells.Line{cells.New(cells.Warn, "hot on "+text.Counted(len(md.MachineUpgrades), "machine"))}
	}
	return cells.Line{{Text: "runs its image", Tone: cells.Muted}}
}
