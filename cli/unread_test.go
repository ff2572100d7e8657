package cli

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A reader who stops reading holds a write up for as long as nobody is in a hurry, then for a second.
func TestAnOutputThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hurried := make(chan struct{})
		reader, pipe := io.Pipe()
		defer reader.Close()
		w := &boundedWriter{to: pipe, hurried: hurried}
		var err error
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, err = io.WriteString(w, "line\n")
		}()
		time.Sleep(time.Hour)
		select {
		case <-written:
			t.Fatalf("an hour without a hurry: %v", err)
		default:
		}
		close(hurried)
		started := time.Now()
		<-written
		if waited := time.Since(started); !errors.Is(err, context.Canceled) || waited != readWithin {
			t.Errorf("%v after %s", err, waited)
		}
		started = time.Now()
		if _, err := io.WriteString(w, "more\n"); !errors.Is(err, errUnread) || time.Since(started) > 0 {
			t.Errorf("the next write: %v after %s", err, time.Since(started))
		}
	})
}

// A reader who reads gets everything, hurried or not.
func TestAnOutputThatIsReadInAHurry(t *testing.T) {
	hurried := make(chan struct{})
	close(hurried)
	reader, pipe := io.Pipe()
	go func() {
		_, _ = io.WriteString(&boundedWriter{to: pipe, hurried: hurried}, "line\n")
		pipe.Close()
	}()
	if all, err := io.ReadAll(reader); string(all) != "line\n" || err != nil {
		t.Errorf("%q, %v", all, err)
	}
}
