package view

import (
	"fmt"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// VitalsColumns are the columns of a board of machines that are watched, in the order of VitalsCells. Those of the second group
// are for wide boards.
func VitalsColumns(wide bool) []cells.Column {
	columns := []cells.Column{
		{Title: "MEMORY", Width: 14, Right: true, Drop: 9}, {Title: "BUSY", Width: busyCells + 7}, {Title: "CRASHES", Width: 7, Right: true},
		{Title: "CHECKS", Right: true, Drop: 7},
	}
	if wide {
		columns = append(columns, cells.Column{Title: "RESTARTS", Right: true, Drop: 8}, cells.Column{Title: "RUN QUEUE", Right: true, Drop: 2},
			cells.Column{Title: "PROCESSES", Width: 15, Right: true, Drop: 3}, cells.Column{Title: "MAILBOX", Width: 11, Right: true, Drop: 1})
	}
	return columns
}

// VitalsCells are a machine's vitals now, and where they differ, before the commit.
func VitalsCells(m *engine.MachineProgress, wide bool) []cells.Span {
	v := m.Vitals
	if v == nil {
		row := make([]cells.Span, len(VitalsColumns(wide)))
		for i := range row {
			row[i] = cells.Span{Text: "?", Tone: cells.Muted}
		}
		return row
	}
	was := before(v)
	row := []cells.Span{
		cells.New(cells.Normal, memory(v)), cells.New(cells.Normal, Busy(m)), {Text: since(was.Crashes, v.Crashes), Tone: worse(was.Crashes, v.Crashes)},
		Checks(engine.Machine{ChecksPassed: v.ChecksPassed, ChecksTotal: v.ChecksTotal}),
	}
	if wide {
		row = append(row, cells.Span{Text: since(was.Restarts, v.Restarts), Tone: worse(was.Restarts, v.Restarts)}, cells.New(cells.Normal, since(was.RunQueue, v.RunQueue)),
			cells.New(cells.Normal, since(was.Processes, v.Processes)), cells.New(cells.Normal, since(was.Mailbox, v.Mailbox)))
	}
	return row
}

// VitalsFacts are the same, one in a line.
func VitalsFacts(m *engine.MachineProgress, w int) []cells.Line {
	v := m.Vitals
	if v == nil {
		return nil
	}
	was := before(v)
	mailbox := since(was.Mailbox, v.Mailbox)
	if v.Mailbox > 0 && v.MailboxOf != "" {
		mailbox += " of " + text.Line(v.MailboxOf)
	}
	lines := []cells.Line{
		cells.Fact("memory", memory(v), w), cells.Fact("busy", Busy(m), w), cells.Fact("run queue", since(was.RunQueue, v.RunQueue), w),
		cells.Fact("alive", since(was.Processes, v.Processes)+" processes", w), cells.Fact("mailbox", mailbox, w),
		cells.Fact("crashes", since(was.Crashes, v.Crashes)+" a minute", w), cells.Fact("restarts", since(was.Restarts, v.Restarts)+" a minute", w),
	}
	if v.ChecksTotal > 0 {
		lines = append(lines, cells.Fact("checks", fmt.Sprintf("%d of %d pass", v.ChecksPassed, v.ChecksTotal), w))
	}
	return lines
}

// VitalsText says how a machine does, in one line: "memory 182 → 185 MB, 12 % busy, 0 → 3 crashes and 2 restarts a minute, 2 of 2 checks".
func VitalsText(v *engine.Vitals) string {
	if v == nil {
		return ""
	}
	was := before(v)
	parts := []string{"memory " + memory(v)}
	if v.Schedulers != nil {
		parts = append(parts, fmt.Sprintf("%d %% busy", *v.Schedulers))
	}
	parts = append(parts, fmt.Sprintf("%s crashes and %s restarts a minute", since(was.Crashes, v.Crashes), since(was.Restarts, v.Restarts)))
	if v.ChecksTotal > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d checks pass", v.ChecksPassed, v.ChecksTotal))
	}
	return strings.Join(parts, ", ")
}

// before gives the vitals before the commit; before there was one, those of now.
func before(v *engine.Vitals) *engine.Vitals {
	if v.Before != nil {
		return v.Before
	}
	return v
}

func since(was, now int) string {
	if was == now {
		return text.Count(now)
	}
	return text.Count(was) + " → " + text.Count(now)
}

// memory gives the size before and now, the unit once if it is the same.
func memory(v *engine.Vitals) string {
	was, now := size(before(v).Memory), size(v.Memory)
	if was == now {
		return now
	}
	if number, unit, _ := strings.Cut(was, " "); strings.HasSuffix(now, " "+unit) {
		was = number
	}
	return was + " → " + now
}

// size gives three digits: "1.2 GB", "182 MB".
func size(bytes int64) string {
	number, unit, _ := strings.Cut(text.Bytes(bytes), " ")
	if whole, _, _ := strings.Cut(number, "."); len(whole) >= 3 {
		number = whole
	}
	return number + " " + unit
}

func worse(was, now int) cells.Tone {
	if now > was {
		return cells.Warn
	}
	return cells.Normal
}

// busyCells is how many of the last looks a machine's line of levels shows.
const busyCells = 6

// Busy draws how busy a machine's schedulers were at the last looks, a level each, the commit between them, and says how busy they are now.
func Busy(m *engine.MachineProgress) string {
	if m.Vitals == nil || m.Vitals.Schedulers == nil {
		return ""
	}
	return fmt.Sprintf("%s %d %%", Levels(m.Busy, m.BusySince, busyCells), *m.Vitals.Schedulers)
}

// Levels draws the last percentages, at most that many, a level each. since says how many of them came after the commit, which is a line.
func Levels(percent []int, since, most int) string {
	shown := percent[max(len(percent)-most, 0):]
	var b strings.Builder
	for i, p := range shown {
		if i > 0 && i == len(shown)-since {
			b.WriteRune('│')
		}
		b.WriteRune(levels[min(max(p, 0), 99)*len(levels)/100])
	}
	return b.String()
}

// FleetVitals is how the machines of a deploy do together, before the commit and now, in one line of at most w cells: what has no room is
// left out as a whole. busy has how busy all of them were, since how many of that after the commit.
func FleetVitals(machines []*engine.MachineProgress, busy []int, since, w int) cells.Line {
	var was, now engine.Vitals
	told, worst := 0, 0
	for _, m := range machines {
		v := m.Vitals
		if v == nil {
			continue
		}
		told++
		add(&now, v)
		add(&was, before(v))
		if v.Schedulers != nil {
			worst = max(worst, *v.Schedulers)
		}
	}
	if told == 0 {
		return nil
	}
	now.Before = &was
	parts := []vitalPart{{words: memory(&now), drop: 3}}
	if len(busy) > 0 {
		parts = append(parts, vitalPart{words: fmt.Sprintf("busy %s %d %%", Levels(busy, since, fleetBusy), busy[len(busy)-1]), drop: 5})
		if told > 1 {
			parts = append(parts, vitalPart{words: fmt.Sprintf("worst %d %%", worst), drop: 1})
		}
	}
	parts = append(parts, vitalPart{words: aMinute("crash", was.Crashes, now.Crashes), tone: worse(was.Crashes, now.Crashes)},
		vitalPart{words: aMinute("restart", was.Restarts, now.Restarts), tone: worse(was.Restarts, now.Restarts), drop: 2})
	if now.ChecksTotal > 0 {
		tone := cells.OK
		if now.ChecksPassed < now.ChecksTotal {
			tone = cells.Warn
		}
		parts = append(parts, vitalPart{words: fmt.Sprintf("%d of %s pass", now.ChecksPassed, text.Counted(now.ChecksTotal, "check")), tone: tone, drop: 4})
	}
	for drop := 1; joined(parts).Width() > w && drop <= 5; drop++ {
		parts = slices.DeleteFunc(parts, func(p vitalPart) bool { return p.drop == drop })
	}
	return joined(parts)
}

// vitalPart is a part of the line of vitals. Of those that have no room the one with the lowest drop goes first, one with 0 never.
type vitalPart struct {
	words string
	tone  cells.Tone
	drop  int
}

func joined(parts []vitalPart) cells.Line {
	l := cells.Line{{Text: " vitals ", Tone: cells.Muted}}
	for i, p := range parts {
		if i > 0 {
			l = append(l, cells.Span{Text: " · ", Tone: cells.Muted})
		}
		l = append(l, cells.New(p.tone, p.words))
	}
	return l
}

// fleetBusy is how many looks the fleet's line shows.
const fleetBusy = 16

func aMinute(noun string, was, now int) string {
	return since(was, now) + " " + text.Noun(now, noun) + "/min"
}

// add sums vitals up.
func add(to, v *engine.Vitals) {
	to.Memory += v.Memory
	to.Crashes += v.Crashes
	to.Restarts += v.Restarts
	to.ChecksPassed += v.ChecksPassed
	to.ChecksTotal += v.ChecksTotal
}
