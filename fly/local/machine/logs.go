package machine

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	logsEvery    = 500 * time.Millisecond // how often it is looked for new lines, which have that time
	maxLogLines  = 20_000                 // of all machines
	maxLogAnswer = 500                    // lines of one answer
	maxLogRead   = 1 << 20                // bytes of one look at one machine
	maxLogLine   = 16 << 10               // bytes of one line
)

// LogLine is a line that a machine has printed, and when that was seen.
type LogLine struct {
	At            time.Time
	Machine, Text string
}

// logs holds the latest lines of all machines, numbered in the order in which they were seen.
type logs struct {
	mu    sync.Mutex
	lines []LogLine
	first int // number of lines[0]
	read  map[string]*logFile
}

// logFile is how much of a machine's console has been read.
type logFile struct {
	offset int64
	rest   string // a line whose end has not come
}

// follow looks for new lines until the fleet ends.
func (f *Fleet) follow(ctx context.Context) {
	tick := time.NewTicker(logsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.lookForLines()
		}
	}
}

func (f *Fleet) lookForLines() {
	all := f.All()
	f.logs.mu.Lock()
	defer f.logs.mu.Unlock()
	for _, m := range all {
		f.logs.take(m.id, f.consolePath(m.id), time.Now())
	}
}

func (l *logs) take(id, path string, now time.Time) {
	at := l.read[id]
	if at == nil {
		at = &logFile{}
		l.read[id] = at
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() <= at.offset {
		return // nothing yet
	}
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	added, _ := io.ReadAll(io.NewSectionReader(file, at.offset, maxLogRead)) // the rest comes with the next look
	at.offset += int64(len(added))
	whole := at.rest + string(added)
	for {
		line, rest, ended := strings.Cut(whole, "\n")
		if !ended {
			break
		}
		l.add(LogLine{At: now, Machine: id, Text: strings.TrimSuffix(line[:min(len(line), maxLogLine)], "\r")})
		whole = rest
	}
	at.rest = whole[max(len(whole)-maxLogLine, 0):]
}

func (l *logs) add(line LogLine) {
	if len(l.lines) == maxLogLines {
		l.lines = append(l.lines[:0], l.lines[maxLogLines/4:]...)
		l.first += maxLogLines / 4
	}
	l.lines = append(l.lines, line)
}

// Lines gives what was printed from a number on, of one machine or with "" of all, and the number to go on with. A negative number
// begins with the latest lines.
func (f *Fleet) Lines(machine string, from int) (lines []LogLine, next int) {
	f.lookForLines()
	l := &f.logs
	l.mu.Lock()
	defer l.mu.Unlock()
	of := func(line LogLine) bool { return machine == "" || line.Machine == machine }
	if from < 0 {
		from = l.first + len(l.lines)
		for n := 0; from > l.first && n < maxLogAnswer; {
			if from--; of(l.lines[from-l.first]) {
				n++
			}
		}
	}
	for next = max(from, l.first); next < l.first+len(l.lines) && len(lines) < maxLogAnswer; next++ {
		if line := l.lines[next-l.first]; of(line) {
			lines = append(lines, line)
		}
	}
	return lines, next
}
