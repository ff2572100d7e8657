package isolation

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// thread runs functions on one OS thread of their own, which may therefore live in other namespaces than the rest of
// the program. The thread is never given back to the runtime: it ends with its functions.
type thread struct {
	calls chan func()
	quit  chan struct{}
	ended chan struct{}
}

var errThreadEnded = errors.New("the machine has ended")

// startThread starts a thread with setup. After a failed setup there is no thread.
func startThread(setup func() error) (*thread, error) {
	// The first process that the os package starts is a probe of its own for pidfd support. Were it started by a thread
	// with a new PID namespace, it would be that namespace's init, and its end would close the namespace.
	if _, err := os.FindProcess(os.Getpid()); err != nil {
		return nil, err
	}
	t := &thread{calls: make(chan func()), quit: make(chan struct{}), ended: make(chan struct{})}
	ready := make(chan error)
	go onOwnThread(func() {
		defer close(t.ended)
		err := setup()
		ready <- err
		if err != nil {
			return
		}
		for {
			select {
			case call := <-t.calls:
				call()
			case <-t.quit:
				return
			}
		}
	})
	if err := <-ready; err != nil {
		<-t.ended
		return nil, err
	}
	return t, nil
}

// do runs f on the thread and waits for it.
func (t *thread) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case t.calls <- func() { result <- f() }:
		return <-result
	case <-t.ended:
		return errThreadEnded
	}
}

// end waits for a function that runs, and ends the thread. It must be called once.
func (t *thread) end() {
	close(t.quit)
	<-t.ended
}

// onOwnThread runs f on a thread that ends with it. The caller's goroutine must end too.
func onOwnThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	// The main thread cannot end: it would stay behind in f's namespaces. While this goroutine holds it, the next one
	// gets another.
	held := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(held)
		f()
	}()
	<-held
	runtime.UnlockOSThread()
}
