package record_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"flydeploy/engine"
	"flydeploy/engine/record"
)

func TestFeedMergesStatesThatASlowReaderHasNotSeen(t *testing.T) {
	feed := record.NewFeed()
	facts := &engine.Machine{ID: "m1"}
	feed.Publish(engine.Event{Seq: 1, Machine: "m1", Attempt: 1, Phase: engine.PhaseReload, Status: engine.StatusPending, Facts: facts})
	feed.Publish(engine.Event{Seq: 2, Machine: "m1", Attempt: 1, Phase: engine.PhaseReload, Status: engine.StatusRunning})
	feed.Publish(engine.Event{Seq: 3, Machine: "m2", Attempt: 1, Phase: engine.PhaseReload, Status: engine.StatusRunning})

	batch, err := feed.Next(context.Background())
	if err != nil || len(batch) != 2 {
		t.Fatalf("got %d events, error %v; want the latest state of each machine", len(batch), err)
	}
	if batch[0].Seq != 2 || batch[0].Facts != facts {
		t.Errorf("the merged event is %+v: want the newer state with the earlier facts", batch[0])
	}
}

// What a slow reader finds waiting, lines and states alike, comes in the order in which it happened.
func TestFeedGivesWhatWaitsInItsOrder(t *testing.T) {
	feed := record.NewFeed()
	feed.Publish(engine.Event{Seq: 1, Phase: engine.PhasePlan, Status: engine.StatusDone})
	feed.Publish(engine.Event{Seq: 2, Phase: engine.PhaseCommit, Status: engine.StatusRunning, Log: "asking again"})
	feed.Publish(engine.Event{Seq: 3, Phase: engine.PhaseCommit, Status: engine.StatusRunning})
	batch, err := feed.Next(context.Background())
	if err != nil || len(batch) != 3 || batch[0].Seq != 1 || batch[1].Seq != 2 || batch[2].Seq != 3 {
		t.Errorf("%+v, %v", batch, err)
	}
}

func TestFeedNeverMakesTheEngineWaitAndIsBounded(t *testing.T) {
	feed := record.NewFeed()
	for i := range 10 * record.MaxPendingLogs {
		feed.Publish(engine.Event{Seq: int64(i + 1), Phase: engine.PhaseBuild, Status: engine.StatusRunning, Log: fmt.Sprint(i)})
		feed.Publish(engine.Event{Seq: int64(i + 1), Phase: engine.PhaseBuild, Status: engine.StatusRunning})
	}
	batch, _ := feed.Next(context.Background())
	if len(batch) != record.MaxPendingLogs+1 {
		t.Fatalf("%d events wait, want the last %d lines and one state", len(batch), record.MaxPendingLogs)
	}
	if last := batch[record.MaxPendingLogs-1].Log; last != fmt.Sprint(10*record.MaxPendingLogs-1) {
		t.Errorf("the last line is %q: the newest must be kept", last)
	}
}

func TestFeedEndsAfterItsLastEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := record.NewFeed()
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
		feed.Publish(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusDone})
		synctest.Wait()
		feed.Close()
		if err := <-got; !errors.Is(err, io.EOF) {
			t.Fatalf("got %v, want io.EOF", err)
		}
	})
}
