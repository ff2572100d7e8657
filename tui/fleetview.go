package tui

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
)

// machineState shows a Fly state as a glyph and its word.
func machineState(state string) span {
	switch state {
	case "started":
		return sp(toneOK, "● "+state)
	case "stopped", "created", "destroyed":
		return sp(toneMuted, "○ "+state)
	case "suspended":
		return sp(toneWarn, "◐ "+state)
	case "failed":
		return sp(toneFail, "✗ "+state)
	default:
		return sp(toneActive, "· "+state)
	}
}

func checks(m engine.Machine) span {
	text := fmt.Sprintf("%d/%d", m.ChecksPassed, m.ChecksTotal)
	switch {
	case m.ChecksTotal == 0:
		return span{text: "–", tone: toneMuted}
	case m.ChecksPassed < m.ChecksTotal:
		return span{text: "! " + text, tone: toneWarn}
	}
	return span{text: "✓ " + text, tone: toneOK}
}

func host(m engine.Machine) span {
	switch m.HostStatus {
	case "ok", "":
		return sp(toneMuted, m.HostStatus)
	case "unreachable":
		return sp(toneFail, "✗ "+m.HostStatus)
	default:
		return sp(toneWarn, "? "+m.HostStatus)
	}
}

// drift tells how a machine differs from what the fleet should run, or why it never takes part.
func (f *fleet) drift(m engine.Machine) span {
	switch {
	case !markable(m):
		return sp(toneMuted, whyOut(m))
	case f.image != "" && !engine.SameImage(f.image, m.Image):
		return sp(toneWarn, "! another image")
	}
	if s, asked := f.codeDrift(m); asked {
		return s
	}
	return span{text: "–", tone: toneMuted}
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
func (f *fleet) cells(m engine.Machine) []span {
	name, image := sp(toneText, m.Name), sp(toneMuted, strings.TrimPrefix(engine.Tag(m.Image), "deployment-"))
	if !markable(m) {
		name.tone = toneMuted
	}
	mark := span{text: " "}
	if f.marked[m.ID] {
		mark = span{text: "◆", tone: toneActive}
	}
	return []span{
		mark, machineState(m.State), sp(name.tone, m.ID), name, sp(toneMuted, m.Region), sp(toneMuted, m.ProcessGroup), checks(m),
		f.runs(m), image, host(m), f.note(m),
	}
}

// note is what one should know about a machine: why it never takes part, that its host is in trouble, its drift.
func (f *fleet) note(m engine.Machine) span {
	if h := host(m); markable(m) && h.tone != toneMuted {
		h.text = "! host " + m.HostStatus
		return sp(h.tone, h.text)
	}
	return f.drift(m)
}

// fleetName is what a name gets at most: what Fly makes up fits; the details tell a longer one in full.
const fleetName = 16

// fleetColumns measures the columns over all machines, so that scrolling does not shift them. Regions have headings
// where the table is ordered by them, else a column.
func fleetColumns(f *fleet) []column {
	arrow := func(title, key string) string { return title + f.sorting.arrow(key) }
	cols := []column{
		{title: " "}, {title: arrow("STATE", "S")}, {title: arrow("MACHINE", "M")}, {title: arrow("NAME", "N"), drop: 4},
		{title: "RGN", drop: 6}, {title: "GROUP", drop: 3}, {title: arrow("CHECKS", "C"), drop: 5}, {title: "RUNS"},
		{title: arrow("IMAGE", "I"), drop: 1}, {title: "HOST", drop: 2}, {title: "DRIFT", width: 10, grows: true},
	}
	for _, m := range f.overview.Machines {
		for i, cell := range f.cells(m) {
			if !cols[i].grows {
				cols[i].width = min(max(cols[i].width, width(cell.text)), 26)
			}
		}
	}
	cols[3].width = min(cols[3].width, fleetName)
	if f.sorting.key == "" {
		cols[4] = column{gone: true}
	}
	for i := range cols {
		if strings.ContainsAny(cols[i].title, "↑↓") {
			cols[i].drop = 0 // what a table is sorted by stays visible
		}
	}
	return cols
}

// table renders the machines for w×h cells.
func (f *fleet) table(w, h int) []line {
	switch {
	case !f.seen && f.err != nil:
		return fill(problemLines(engine.AsProblem(f.err), w), w, h)
	case !f.seen:
		return fill([]line{nil, {span{text: "  Reading the fleet…", tone: toneMuted}}}, w, h)
	case len(f.rows) == 0:
		return fill([]line{nil, {sp(toneMuted, "  "+f.emptyText())}}, w, h)
	}
	cols := shown(f.columns, w-2)
	lines := []line{append(line{blank(2)}, headOf(cols)...)}
	from, to := f.list.window(len(f.rows), h-1)
	if heading := f.headingOf(from); heading < from && f.sorting.key == "" { // it is scrolled away: it stays on top
		lines = append(lines, f.rowLine(heading, cols, w))
		to = min(to, from+h-2)
	}
	for i := from; i < to; i++ {
		lines = append(lines, f.rowLine(i, cols, w))
	}
	return fill(lines, w, h)
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

func (f *fleet) rowLine(i int, cols []column, w int) line {
	r := f.rows[i]
	if r.m.ID == "" {
		return line{sp(toneStrong, "  "+r.region), sp(toneMuted, "  "+counted(r.count, "machine"))}.fit(w)
	}
	return listRow(rowOf(cols, f.cells(r.m)), i == f.list.at, w)
}

// headline counts machines, marks and what the filter hides.
func (f *fleet) headline() line {
	if !f.seen {
		return nil
	}
	states := map[string]int{}
	for _, m := range f.overview.Machines {
		states[m.State]++
	}
	l := line{sp(toneStrong, counted(len(f.overview.Machines), "machine"))}
	for _, state := range []string{"started", "stopped", "suspended", "failed"} {
		if n := states[state]; n > 0 && n < len(f.overview.Machines) {
			l = append(l, sp(toneMuted, " · "+count(n)+" "+state))
		}
	}
	visible, hidden := f.marks()
	if n := len(visible) + len(hidden); n > 0 {
		l = append(l, sp(toneActive, " · "+count(n)+" marked"))
	}
	if len(hidden) > 0 {
		l = append(l, sp(toneWarn, ", "+count(len(hidden))+" hidden"))
	}
	switch {
	case f.filtering:
		l = append(l, sp(toneActive, " · / "+f.filter+"█"))
	case f.filter != "":
		l = append(l, sp(toneActive, " · / "+f.filter))
	}
	return l
}

// status tells the lock, or what is wrong with what is shown.
func (f *fleet) status(c *console) line {
	lock := f.overview.Lock
	switch {
	case f.err != nil && f.seen:
		return line{sp(toneWarn, "! as of "+when(f.lookedAt, c.now)+": "+f.err.Error())}
	case f.overview.Storage != nil:
		return line{sp(toneWarn, "! storage: "+f.overview.Storage.What)}
	case lock != nil && lock.ExpiresAt.Before(c.now):
		return line{sp(toneMuted, "lock of "+lock.LockedBy+" expired")}
	case lock != nil:
		return line{sp(toneWarn, "! locked by "+lock.LockedBy+" since "+when(lock.LockedAt, c.now))}
	case f.seen:
		return line{sp(toneMuted, "no deploy under way")}
	}
	return nil
}

// upgrade is the fleet's current upgrade, and when it came, for the title.
func (f *fleet) upgrade(now time.Time) line {
	md := f.overview.Metadata
	switch {
	case md == nil:
		return line{{text: "no hot upgrade yet", tone: toneMuted}}
	case f.overview.StaleRecord():
		return line{{text: "record stale: deployed cold since", tone: toneMuted}}
	case md.HotUpgrade != nil:
		l := line{sp(toneOK, "hot "+md.HotUpgrade.Version)}
		if at := md.HotUpgrade.DeployedAt; !at.IsZero() {
			l = append(l, sp(toneMuted, ", deployed "+ago(now.Sub(at))))
		}
		return l
	case len(md.MachineUpgrades) > 0:
		return line{sp(toneWarn, "hot on "+counted(len(md.MachineUpgrades), "machine"))}
	}
	return line{{text: "runs its image", tone: toneMuted}}
}
