package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
)

func TestFeedMergesStatesThatASlowReaderHasNotSeen(t *testing.T) {
	feed := NewFeed()
	facts := &Machine{ID: "m1"}
	feed.publish(Event{Seq: 1, Machine: "m1", Attempt: 1, Phase: PhaseReload, Status: StatusPending, Facts: facts})
	feed.publish(Event{Seq: 2, Machine: "m1", Attempt: 1, Phase: PhaseReload, Status: StatusRunning})
	feed.publish(Event{Seq: 3, Machine: "m2", Attempt: 1, Phase: PhaseReload, Status: StatusRunning})

	batch, err := feed.Next(context.Background())
	if err != nil || len(batch) != 2 {
		t.Fatalf("got %d events, error %v; want the latest state of each machine", len(batch), err)
	}
	if batch[0].Seq != 2 || batch[0].Facts != facts {
		t.Errorf("the merged event is %+v: want the newer state with the earlier facts", batch[0])
	}
}

func TestFeedNeverMakesTheEngineWaitAndIsBounded(t *testing.T) {
	feed := NewFeed()
	for i := range 10 * maxPendingLogs {
		feed.publish(Event{Seq: int64(i + 1), Phase: PhaseBuild, Status: StatusRunning, Log: fmt.Sprint(i)})
		feed.publish(Event{Seq: int64(i + 1), Phase: PhaseBuild, Status: StatusRunning})
	}
	batch, _ := feed.Next(context.Background())
	if len(batch) != maxPendingLogs+1 {
		t.Fatalf("%d events wait, want the last %d lines and one state", len(batch), maxPendingLogs)
	}
	if last := batch[maxPendingLogs-1].Log; last != fmt.Sprint(10*maxPendingLogs-1) {
		t.Errorf("the last line is %q: the newest must be kept", last)
	}
}

func TestFeedEndsAfterItsLastEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed()
		got := make(chan error, 1)
		go func() {
			if batch, err := feed.Next(context.Background()); err != nil || len(batch) != 1 {
				got <- fmt.Errorf("first: %d events, %w", len(batch), err)
				return
			}
			_, err := feed.Next(context.Background())
			got <- err
		}()
		synctest.Wait() // the reader waits on an empty feed
		feed.publish(Event{Phase: PhaseUnlock, Status: StatusDone})
		synctest.Wait()
		feed.close()
		if err := <-got; !errors.Is(err, io.EOF) {
			t.Fatalf("got %v, want io.EOF", err)
		}
	})
}
