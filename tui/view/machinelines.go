package view

import (
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// LineLevel says how bad a line is that a machine has printed.
type LineLevel int

// The levels.
const (
	LineNormal LineLevel = iota
	LineWarn
	LineFail
)

var (
	failWords = []string{"[error]", "[critical]", "[alert]", "[emergency]", "** (", "Kernel pid terminated", "Out of memory: Killed"}
	warnWords = []string{"[warning]", "[warn]"}
)

// LevelOf judges a line by Fly's level and by what Elixir's Logger and the VM write. failed says that the machine's line before was an
// error: what is indented goes on with it.
func LevelOf(l engine.MachineLine, failed bool) LineLevel {
	has := func(words []string) bool {
		for _, word := range words {
			if strings.Contains(l.Text, word) {
				return true
			}
		}
		return false
	}
	switch level := strings.ToLower(l.Level); {
	case level == "error" || level == "fatal" || level == "critical", has(failWords):
		return LineFail
	case failed && strings.TrimLeft(l.Text, " \t") != l.Text:
		return LineFail
	case strings.HasPrefix(level, "warn"), has(warnWords):
		return LineWarn
	}
	return LineNormal
}

// MachineLine is a line that a machine has printed: when, which machine, a mark, and of the text what is in sight.
func MachineLine(l engine.MachineLine, level LineLevel, shift cells.Sideways) cells.Line {
	mark, tone := "  ", cells.Normal
	switch level {
	case LineFail:
		mark, tone = "✗ ", cells.Fail
	case LineWarn:
		mark, tone = "! ", cells.Warn
	}
	at := "        "
	if !l.At.IsZero() {
		at = l.At.Local().Format(time.TimeOnly)
	}
	who := l.Machine
	if who == "" {
		who = "fly"
	}
	head := cells.Line{{Text: " " + at + " ", Tone: cells.Muted}, cells.New(cells.Muted, who+" "), {Text: mark, Tone: tone}}
	return append(head, shift.Of(cells.Line{cells.New(tone, l.Text)})...)
}
