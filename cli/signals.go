package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"flydeploy/engine"
)

// interrupts turns signals into what deploys are asked for. The first one stops them: nothing more starts, what is in
// flight ends, then agents, temporary machine and lock are settled. The second one hurries that, a third one ends the
// process at once. SIGTERM hurries from the beginning: who sends it may kill soon. Where no deploy was started there is
// nothing to settle, and the second one ends the process.
type interrupts struct {
	stop context.CancelCauseFunc

	mu      sync.Mutex
	deploys []*engine.Deployment
	asked   int  // how often to end
	hurried bool // the end may not take long any more
}

// signalled is why a context ended.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return "stopped by a signal: " + s.String() }

// Is says that a signal is a cancellation.
func (s signalled) Is(target error) bool { return target == context.Canceled }

// listen gives a context that ends with the first signal. It listens as long as the process lives.
func (i *interrupts) listen() context.Context {
	// A pipe whose reader has gone shall be an error of the one who writes. Ignored instead, it would be for our children, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := context.WithCancelCause(context.Background())
	i.stop = stop
	signals := make(chan os.Signal, 3)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) { // nohup's wish
			signal.Notify(signals, s)
		}
	}
	go func() {
		for s := range signals {
			i.take(s)
		}
	}()
	return ctx
}

func (i *interrupts) take(s os.Signal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	switch {
	case i.asked > 2, i.asked > 1 && len(i.deploys) == 0:
		if len(i.deploys) > 0 {
			tell(leftAtOnce)
		}
		os.Exit(engine.OutcomeCancelled.ExitCode())
	case i.asked > 1:
		i.hurry()
		tell("flydeploy: settling within 8 s; once more ends at once, and leaves what is not settled\n")
	case s == syscall.SIGTERM:
		i.hurry()
	}
	i.stop(signalled{s})
}

const leftAtOnce = `flydeploy: ended at once. What may be left ends by itself: the deploy lock with --lock-timeout, agents within
20 minutes, the temporary machine with its time. What runs is known to nobody now.
  → ` + "`flydeploy status` shows what machines run, `flydeploy hot --resume` finishes the deploy.\n"

// tellStopping says at the end of ctx what happens now.
func tellStopping(ctx context.Context) (forget func() bool) {
	return context.AfterFunc(ctx, func() {
		tell("flydeploy: stopping: nothing more starts, what is in flight ends, then agents, temporary machine and lock are settled (ctrl-c again: within 8 s)\n")
	})
}

// tell writes to stderr. A terminal that has stopped reading must not keep us from ending.
func tell(text string) {
	told := make(chan struct{})
	go func() {
		defer close(told)
		fmt.Fprint(os.Stderr, text)
	}()
	select {
	case <-told:
	case <-time.After(time.Second):
	}
}

// hurry hurries the deploys; mu is held.
func (i *interrupts) hurry() {
	i.hurried = true
	for _, d := range i.deploys {
		d.Hurry()
	}
}

// settles says that signals have to let a deploy settle.
func (i *interrupts) settles(d *engine.Deployment) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.deploys = append(i.deploys, d)
	if i.hurried {
		d.Hurry()
	}
}

// stopped says that the operator has stopped the deploy already: the next signal is the second one.
func (i *interrupts) stopped() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = max(i.asked, 1)
}
