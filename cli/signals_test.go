package cli

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
)

// What is said at an end at once is true: a deploy that has settled leaves nothing.
func TestTheLastWordsAreTrue(t *testing.T) {
	i := newInterrupts()
	if said := i.lastWords(); said != "" {
		t.Errorf("without a deploy: %q", said)
	}
	opening, opened := make(chan struct{}), make(chan struct{})
	d := deploy.Start(t.Context(), engine.Settings{App: "counter", DryRun: true}, deploy.Ports{Fleet: lostFleet{asked: opened, answer: opening}})
	i.settles(d)
	<-opened
	if said := i.lastWords(); !strings.Contains(said, "Nobody has checked what the machines run") {
		t.Errorf("while it is under way: %q", said)
	}
	close(opening)
	d.Result()
	if said := i.lastWords(); !strings.Contains(said, "had settled before, and ended as: failed") {
		t.Errorf("once it has settled: %q", said)
	}
	i.take(syscall.SIGINT)
	select {
	case <-i.hurried:
	default:
		t.Error("nothing is left to settle, and still a signal waits for readers")
	}
}

// lostFleet does not answer before it is opened, and then it fails.
type lostFleet struct {
	engine.Fleet
	asked  chan<- struct{}
	answer <-chan struct{}
}

func (l lostFleet) Machines(context.Context) ([]engine.Machine, error) {
	close(l.asked)
	<-l.answer
	return nil, errors.New("no answer")
}

// ctrl-c in a shell that has the terminal is the shell's, and ends neither the console nor a deploy, even if we hear of it when the shell
// has ended by it; a kill does.
func TestKeysOfAVisitAreNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInterrupts()
		var ended []error
		i.stop = func(why error) { ended = append(ended, why) }
		back := i.leaveKeys()
		i.take(syscall.SIGINT)
		i.take(syscall.SIGQUIT)
		back()
		i.take(syscall.SIGINT)
		if len(ended) > 0 || i.asked > 0 {
			t.Errorf("ended by %v", ended)
		}
		time.Sleep(keysArriveWithin)
		i.take(syscall.SIGINT)
		if len(ended) != 1 || i.asked != 1 {
			t.Errorf("ended by %v", ended)
		}
		i = newInterrupts()
		i.stop = func(why error) { ended = append(ended, why) }
		defer i.leaveKeys()()
		if i.take(syscall.SIGTERM); len(ended) != 2 {
			t.Error("a kill is left to the shell")
		}
	})
}
