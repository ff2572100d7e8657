package command

import (
	"bytes"
	"strings"
	"sync"

	"flydeploy/text"
)

// maxLine is the longest line of output, in bytes. The rest of a longer line is dropped.
const maxLine = 4096

// lines is an io.Writer that cleans each line and passes it on. A carriage return ends a line too, since progress bars
// redraw themselves with it. Empty lines are dropped.
type lines struct {
	emitting *sync.Mutex // held while emit runs, since two streams share one emit
	emit     func(line string)

	pending []byte
}

func (l *lines) Write(p []byte) (int, error) {
	rest := p
	for {
		i := bytes.IndexAny(rest, "\r\n")
		if i < 0 {
			l.add(rest)
			return len(p), nil
		}
		l.add(rest[:i])
		l.flush()
		rest = rest[i+1:]
	}
}

func (l *lines) add(p []byte) {
	l.pending = append(l.pending, p[:min(len(p), maxLine-len(l.pending))]...)
}

// flush passes on what came without an end of line.
func (l *lines) flush() {
	line := strings.TrimRight(text.Line(string(l.pending)), " ")
	l.pending = l.pending[:0]
	if line == "" {
		return
	}
	l.emitting.Lock()
	defer l.emitting.Unlock()
	l.emit(line)
}
