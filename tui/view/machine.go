package view

import (
	"cmp"
	"fmt"
	"strings"

	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// FlyState shows a Fly state as a glyph and its word.
func FlyState(state engine.FlyState) cells.Span {
	word := string(state)
	switch state {
	case engine.StateStarted:
		return cells.New(cells.OK, "● "+word)
	case engine.StateStopped, engine.StateCreated, engine.StateDestroyed:
		return cells.New(cells.Muted, "○ "+word)
	case engine.StateSuspended:
		return cells.New(cells.Warn, "◐ "+word)
	case engine.StateFailed:
		return cells.New(cells.Fail, "✗ "+word)
	default:
		return cells.New(cells.Active, "· "+word)
	}
}

// Checks shows how many of a machine's health checks pass.
func Checks(m engine.Machine) cells.Span {
	text := fmt.Sprintf("%d/%d", m.ChecksPassed, m.ChecksTotal)
	switch {
	case m.ChecksTotal == 0:
		return cells.Span{Text: "–", Tone: cells.Muted}
	case m.ChecksPassed < m.ChecksTotal:
		return cells.Span{Text: "! " + text, Tone: cells.Warn}
	}
	return cells.Span{Text: "✓ " + text, Tone: cells.OK}
}

// Host shows the state of the host that a machine runs on.
func Host(m engine.Machine) cells.Span {
	word := string(m.HostStatus)
	switch m.HostStatus {
	case engine.HostOK:
		return cells.New(cells.Muted, word)
	case "":
		return cells.Span{Text: "?", Tone: cells.Muted}
	case engine.HostUnreachable:
		return cells.New(cells.Fail, "✗ "+word)
	default:
		return cells.New(cells.Warn, "? "+word)
	}
}

// TakesPart reports whether a deploy can touch the machine.
func TakesPart(m engine.Machine) bool { return m.LeftOut == "" && m.Temporary == "" }

// WhyLeftOut says why a deploy never touches the machine, "" where it may.
func WhyLeftOut(m engine.Machine) string {
	if m.Temporary != "" {
		return "the temporary machine of deploy " + m.Temporary
	}
	return m.LeftOut
}

// ByRegionAndName orders machines as the fleet is listed.
func ByRegionAndName(a, b engine.Machine) int {
	return cmp.Or(strings.Compare(a.Region, b.Region), ByName(a, b))
}

// ByName orders machines by name.
func ByName(a, b engine.Machine) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
}
