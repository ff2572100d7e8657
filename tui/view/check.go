package view

import (
	"fmt"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// DoctorCheck tells one of the doctor's checks: its outcome, what was found, and what to do.
func DoctorCheck(c engine.Check, w int) []cells.Line {
	const name = 21                 // as wide as the longest, and the mark
	under, room := name+1, w-name-1 // where what was found stands
	if w < 70 {
		under, room = 2, w-2
	}
	glyph, tone := "✓ ", cells.OK
	switch c.Status {
	case engine.CheckWarn:
		glyph, tone = "! ", cells.Warn
	case engine.CheckFail:
		glyph, tone = "✗ ", cells.Fail
	case engine.CheckSkipped:
		glyph, tone = "– ", cells.Muted
	}
	says := c.Text
	if c.Machine != "" {
		says = "machine " + c.Machine + ": " + says
	}
	said := tone
	if c.Status == engine.CheckOK {
		said = cells.Normal
	}
	lines := cells.Paragraph(said, text.Line(says), room)
	if c.Remedy != "" {
		lines = append(lines, Hanging(cells.Normal, "→ ", c.Remedy, room)...)
	}
	head := cells.Line{{Text: glyph, Tone: tone}, cells.New(cells.Strong, c.Name)}
	if under < name {
		lines = append([]cells.Line{nil}, lines...)
	} else {
		head = append(head.Fit(name), cells.Blank(1))
	}
	for i, l := range lines {
		lines[i] = append(head, l...)
		head = cells.Line{cells.Blank(under)}
	}
	return lines
}

// DoctorTotals counts what the doctor has found, as its report's last line does.
func DoctorTotals(all []engine.Check) cells.Line {
	count := map[engine.CheckStatus]int{}
	for _, c := range all {
		count[c.Status]++
	}
	told := func(t cells.Tone, n int, words string) cells.Span {
		if n == 0 {
			t = cells.Muted
		}
		return cells.New(t, fmt.Sprintf("%d %s", n, words))
	}
	between := cells.Span{Text: " · ", Tone: cells.Muted}
	return cells.Line{
		told(cells.OK, count[engine.CheckOK], "ok"), between, told(cells.Warn, count[engine.CheckWarn], "warnings"), between,
		told(cells.Fail, count[engine.CheckFail], "failed"), between, told(cells.Muted, count[engine.CheckSkipped], "not checked"),
	}
}
