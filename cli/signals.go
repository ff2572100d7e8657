package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
)

// interrupts turns signals into what deploys are asked for. The first one stops them: nothing more starts, what is in
// flight ends, then agents, temporary machine and lock are settled. The second one hurries that, a third one ends the
// process at once. SIGTERM hurries from the beginning: who sends it may kill soon. So does any signal once everything has
// settled. Where no deploy was started there is nothing to settle, and the second one ends the process.
type interrupts struct {
	stop    context.CancelCauseFunc
	hurried chan struct{} // closed when the end may not take long any more

	mu        sync.Mutex
	deploys   []*deploy.Deployment
	asked     int       // how often to end
	visited   bool      // another program has the terminal: what its keys send is meant for that one
	visitedAt time.Time // when the last such program had ended
}

func newInterrupts() *interrupts {
	return &interrupts{stop: func(error) {}, hurried: make(chan struct{})}
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
	if (i.visited || time.Since(i.visitedAt) < keysArriveWithin) && (s == os.Interrupt || s == syscall.SIGQUIT) {
		return
	}
	i.asked++
	switch {
	case i.asked > 2, i.asked > 1 && len(i.deploys) == 0:
		tell(i.lastWords())
		os.Exit(engine.OutcomeCancelled.ExitCode())
	case i.asked > 1:
		if !i.settled() {
			tell("flydeploy: settling within 8 s; once more ends at once, and leaves what is not settled\n")
		}
		i.hurry()
	case s == syscall.SIGTERM, i.settled():
		i.hurry()
	}
	i.stop(signalled{s})
}

// keysArriveWithin is for the signal of a key that has ended the other program: it comes to us as well, and may be heard after that end.
const keysArriveWithin = time.Second

// leaveKeys leaves ctrl-c and ctrl-\ to a program that has the terminal, until back is called.
func (i *interrupts) leaveKeys() (back func()) {
	set := func(visited bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.visited, i.visitedAt = visited, time.Now()
	}
	set(true)
	return func() { set(false) }
}

// settled reports whether no deploy is under way; mu is held.
func (i *interrupts) settled() bool {
	for _, d := range i.deploys {
		if _, over := d.Settled(); !over {
			return false
		}
	}
	return true
}

// lastWords are for an end at once; mu is held.
func (i *interrupts) lastWords() string {
	switch {
	case len(i.deploys) == 0:
		return ""
	case i.settled():
		last, _ := i.deploys[len(i.deploys)-1].Settled()
		return fmt.Sprintf(settledBefore, last.Outcome)
	}
	return leftAtOnce
}

const settledBefore = `flydeploy: ended at once. The deploy had settled before, and ended as: %s. Nobody has read its output to the end.
  → ` + "`flydeploy status` shows what machines run.\n"

const leftAtOnce = `flydeploy: ended at once. What may be left ends by itself: the deploy lock with --lock-timeout, agents within
20 minutes, the temporary machine when its time is over. Nobody has checked what the machines run now.
  → ` + "`flydeploy status` shows what machines run, `flydeploy hot --resume` finishes the deploy.\n"

// tellStopping says at the end of ctx what happens now, where something has to be settled.
func (i *interrupts) tellStopping(ctx context.Context) (forget func() bool) {
	return context.AfterFunc(ctx, func() {
		i.mu.Lock()
		settled := i.settled()
		i.mu.Unlock()
		if !settled {
			tell("flydeploy: stopping: nothing more starts, what is in flight ends, then agents, temporary machine and lock are settled (ctrl-c again: within 8 s)\n")
		}
	})
}

// tell writes to stderr, for as long as readWithin.
func tell(text string) {
	over := make(chan struct{})
	close(over)
	_, _ = io.WriteString(&boundedWriter{to: os.Stderr, hurried: over}, text)
}

// hurry hurries the deploys, and whoever waits for a reader; mu is held.
func (i *interrupts) hurry() {
	if !i.inHurry() {
		close(i.hurried)
	}
	for _, d := range i.deploys {
		d.Hurry()
	}
}

func (i *interrupts) inHurry() bool {
	select {
	case <-i.hurried:
		return true
	default:
		return false
	}
}

// bound keeps a reader who has stopped reading from keeping the process alive.
func (i *interrupts) bound(to io.Writer) io.Writer {
	return &boundedWriter{to: to, hurried: i.hurried}
}

// settles says that signals have to let a deploy settle.
func (i *interrupts) settles(d *deploy.Deployment) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.deploys = append(i.deploys, d)
	if i.inHurry() {
		d.Hurry()
	}
}

// await waits until every deploy has settled, and gives the end of the last one, nil for none.
func (i *interrupts) await() (last *engine.Result) {
	i.mu.Lock()
	deploys := slices.Clone(i.deploys)
	i.mu.Unlock()
	for _, d := range deploys {
		r := d.Result()
		last = &r
	}
	return last
}

// stopped says that the operator has stopped the deploy already: the next signal is the second one.
func (i *interrupts) stopped() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = max(i.asked, 1)
}
