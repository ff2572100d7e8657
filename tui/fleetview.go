package tui

import (
	"fmt"
	"strings"

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

// cells of one machine, in the order of fleetColumns.
func (f *fleet) cells(m engine.Machine) []span {
	name, image := sp(toneText, m.Name), sp(toneMuted, strings.TrimPrefix(engine.Tag(m.Image), "deployment-"))
	if !markable(m) {
		name.tone = toneMuted
		image = sp(toneMuted, whyOut(m))
	}
	mark := span{text: " "}
	if f.marked[m.ID] {
		mark = span{text: "◆", tone: toneActive}
	}
	return []span{
		mark, machineState(m.State), sp(name.tone, m.ID), name, sp(toneMuted, m.ProcessGroup), checks(m), f.runs(m), image, host(m),
	}
}

// fleetColumns measures the columns over all machines, so that scrolling does not shift them.
func fleetColumns(f *fleet) []column {
	cols := []column{
		{title: " "}, {title: "STATE"}, {title: "MACHINE"}, {title: "NAME", drop: 3}, {title: "GROUP", drop: 2},
		{title: "CHECKS", drop: 4}, {title: "RUNS"}, {title: "IMAGE", drop: 5, grows: true}, {title: "HOST", drop: 1},
	}
	for _, m := range f.overview.Machines {
		for i, cell := range f.cells(m) {
			if !cols[i].grows {
				cols[i].width = min(max(cols[i].width, width(cell.text)), 24)
			}
		}
	}
	cols[7].width = 16
	return cols
}

// view renders the machines for w×h cells.
func (f *fleet) view(w, h int) []line {
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
	if heading := f.headingOf(from); heading < from { // it is scrolled away: it stays on top
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

// current upgrade of the fleet, for the title.
func (f *fleet) upgrade() span {
	md := f.overview.Metadata
	switch {
	case md == nil:
		return sp(toneMuted, "no hot upgrade yet")
	case md.HotUpgrade != nil:
		return sp(toneOK, "hot "+md.HotUpgrade.Version)
	case len(md.MachineUpgrades) > 0:
		return sp(toneWarn, "hot on "+counted(len(md.MachineUpgrades), "machine"))
	}
	return sp(toneMuted, "runs its image")
}
