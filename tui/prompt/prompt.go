// Package prompt reads what somebody types, line by line, and can be told to stop reading.
package prompt

import (
	"bufio"
	"io"
	"strings"
	"sync"

	"github.com/muesli/cancelreader"

	"flydeploy/text"
)

// Lines reads lines, cleaned and without the space around them, until stop is called, or until the input's end, which
// closes the channel.
func Lines(from io.Reader) (lines <-chan string, stop func()) {
	cancel := func() bool { return false }
	if r, err := cancelreader.NewReader(from); err == nil { // a regular file has none, and never blocks
		from, cancel = r, r.Cancel
	}
	out, over := make(chan string), make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(out)
		for scan := bufio.NewScanner(from); scan.Scan(); {
			select {
			case out <- strings.TrimSpace(text.Line(scan.Text())):
			case <-over:
				return
			}
		}
	})
	return out, func() {
		close(over)
		if cancel() {
			reading.Wait()
		}
	}
}
