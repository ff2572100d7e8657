package fly

import (
	"bytes"
	"strings"
	"sync"

	"flydeploy/text"
)

// maxLine bounds a line of output, bytes; the rest of a longer one is cut off.
const maxLine = 4096

// lines is an io.Writer that hands on each line, cleaned. A carriage return ends a line too: progress bars repaint with
// it. Empty lines are left out.
type lines struct {
	each *sync.Mutex // held while emit runs: two streams share one emit
	emit func(line string)

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

// flush hands on what has come without an end of line.
func (l *lines) flush() {
	line := strings.TrimRight(text.Line(string(l.pending)), " ")
	l.pending = l.pending[:0]
	if line == "" {
		return
	}
	l.each.Lock()
	defer l.each.Unlock()
	l.emit(line)
}
