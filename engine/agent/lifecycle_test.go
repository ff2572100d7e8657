package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

func TestOneUpgradeAtATime(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	o := orderOf(t, tarballOf(t, 2).bytes)
	o.Owner = "alice\x1b[31m"
	s, staged := n.order(o)

	other := o
	other.ID, other.Owner = NewID("01OTHER"), "bob"
	_, err := Inject(t.Context(), n.exec, n.vm, other)
	var busy *BusyError
	if !errors.As(err, &busy) {
		t.Fatalf("a second upgrade: %v", err)
	}
	if busy.ID != o.ID || busy.Owner != "alice [31m" || busy.State != Staged || busy.ExpiresIn < 19*time.Minute {
		t.Errorf("busy: %+v", busy)
	}

	// The same order again is the same session: an answer that was lost can be asked for again.
	again, err := Inject(t.Context(), n.exec, n.vm, o)
	if err != nil {
		t.Fatal(err)
	}
	if status := n.await(again, Staged); status.Seq < staged.Seq || again.dir != s.dir {
		t.Errorf("another session: seq %d in %s", status.Seq, again.dir)
	}

	if _, err := s.Abort(t.Context(), staged.Seq); err != nil {
		t.Fatal(err)
	}
	if status := n.await(s, Aborted); status.State != Aborted {
		t.Errorf("after abort: %s", status.State)
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.awaitGone()
	n.checkFiles(1)

	// Now the other one may.
	s, err = Inject(t.Context(), n.exec, n.vm, other)
	if err != nil {
		t.Fatal(err)
	}
	n.abort(s, Status{})
}

// The agent's folder is its own: one that is there already is refused, and stays.
func TestFolderThatIsThereIsRefused(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	o := orderOf(t, tarballOf(t, 2).bytes)
	dir := filepath.Join(filepath.Dir(n.control), "flydeploy-"+o.ID)
	if err := os.MkdirAll(filepath.Join(dir, "theirs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Inject(t.Context(), n.exec, n.vm, o); err == nil || !strings.Contains(err.Error(), "cannot be made") {
		t.Errorf("beside its folder: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "theirs")); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// A lost answer and a restarted VM are different things.
func TestLostAnswersAndRestarts(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	lost := func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
		if _, err := n.exec(ctx, command, stdin, timeout); err != nil {
			return engine.Output{}, err
		}
		return engine.Output{}, engine.ErrUnknownOutcome
	}
	o := orderOf(t, tarballOf(t, 2).bytes)
	if _, err := Inject(t.Context(), lost, n.vm, o); !errors.Is(err, engine.ErrUnknownOutcome) {
		t.Fatalf("a lost answer: %v", err)
	}
	s, staged := n.order(o)
	s.exec = lost
	if _, err := s.Arm(t.Context(), staged.Seq); !errors.Is(err, engine.ErrUnknownOutcome) {
		t.Errorf("a lost answer: %v", err)
	}
	s.exec = n.exec
	armed := n.await(s, Armed)
	if armed.State != Armed {
		t.Errorf("the order arrived, but the agent is %s", armed.State)
	}

	gone := n.vm
	gone.Start += "0"
	if _, err := Inject(t.Context(), n.exec, gone, o); !errors.Is(err, ErrGone) {
		t.Errorf("another boot: %v", err)
	}
	n.abort(s, armed)
	s.vm = gone
	if _, err := s.Wait(t.Context(), 0); !errors.Is(err, ErrGone) {
		t.Errorf("another boot: %v", err)
	}
}
