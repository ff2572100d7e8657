package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/charmbracelet/x/term"

	"flydeploy/tui"
)

// readWithin is how long a reader may take to read on, once the process is hurried.
const readWithin = time.Second

// boundedWriter writes to a pipe or terminal whose reader may have stopped reading. Until the process is hurried a write
// waits for the reader, as everywhere; then for readWithin, and no write follows one that was given up.
type boundedWriter struct {
	to      io.Writer
	hurried <-chan struct{}

	mu     sync.Mutex // one write at a time
	unread error
}

// errUnread is a cancellation: it comes only after somebody has told the process to end.
var errUnread error = unreadError{}

type unreadError struct{}

func (unreadError) Error() string { return "nobody reads the output" }

func (unreadError) Is(target error) bool { return target == context.Canceled }

// Write implements io.Writer. A write that was given up goes on in a goroutine that nobody can end: the process ends soon.
func (w *boundedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unread != nil {
		return 0, w.unread
	}
	type written struct {
		n   int
		err error
	}
	done := make(chan written, 1)
	p = bytes.Clone(p)
	go func() {
		n, err := w.to.Write(p)
		done <- written{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-w.hurried:
	}
	select {
	case r := <-done:
		return r.n, r.err
	case <-time.After(readWithin):
		w.unread = errUnread
		return 0, errUnread
	}
}

// whileRead runs a console to its end, or until its terminal keeps it from ending: the process is hurried, everything has
// settled, and for readWithin nobody has read. It then goes on in a goroutine that nobody can end.
func (i *interrupts) whileRead(console func() (tui.Ended, error)) (tui.Ended, error) {
	type over struct {
		end tui.Ended
		err error
	}
	before, _ := term.GetState(os.Stdin.Fd())
	done := make(chan over, 1)
	go func() {
		end, err := console()
		done <- over{end, err}
	}()
	select {
	case o := <-done:
		return o.end, o.err
	case <-i.hurried:
	}
	last := i.await()
	select {
	case o := <-done:
		return o.end, o.err
	case <-time.After(readWithin):
	}
	if before != nil {
		_ = term.Restore(os.Stdin.Fd(), before)
	}
	if last == nil {
		return tui.Ended{}, errUnread
	}
	return tui.Ended{}, unwritten(errUnread, *last)
}
