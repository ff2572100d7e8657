package tui

import (
	"slices"
	"time"

	"flydeploy/engine"
)

// logRows are the last lines of the log.
func (d *deploy) logRows(w, h int) []line {
	var lines []line
	for i := len(d.progress.Log) - 1; i >= 0 && len(lines) < h; i-- {
		if l := d.progress.Log[i]; logged(l) {
			lines = append(lines, logLine(l))
		}
	}
	slices.Reverse(lines)
	return fill(lines, w, h)
}

// logged leaves out what says little: that a machine waits, or that one of its short phases has begun.
func logged(l engine.LogLine) bool {
	return l.Output || l.Status != engine.StatusPending && (l.Machine == "" || l.Status != engine.StatusRunning)
}

func logLine(l engine.LogLine) line {
	at := span{text: " " + l.At.Local().Format(time.TimeOnly) + " ", tone: toneMuted}
	if l.Output {
		return line{at, sp(toneMuted, l.Phase.Title()+" │ "), sp(toneText, l.Text)}
	}
	_, t := glyphOf(l.Status, "")
	who := l.Machine
	if who == "" {
		who = "fleet"
	}
	return line{at, sp(toneText, who+" "+l.Phase.Title()+" "), sp(t, string(l.Status)), sp(toneMuted, "  "+l.Text)}
}
