package s3_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/s3"
)

// openSkewed opens a bucket on a computer whose clock is off.
func openSkewed(t *testing.T, c s3.Config, off time.Duration) *s3.Bucket {
	t.Helper()
	b := open(t, c)
	b.SetClock(func() time.Time { return time.Now().Add(off) })
	return b
}

func TestURLsAreSignedWithTheBucketsTime(t *testing.T) {
	t.Parallel()
	const key, body = "releases/counter-2.0.0.tar.gz", "bytes"
	servers := others()
	servers["gofakes3"] = startServer
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			for _, off := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
				b := openSkewed(t, c, off)
				if _, err := b.Current(t.Context()); !errors.Is(err, engine.ErrNotFound) { // an answer tells the bucket's time
					t.Fatal(err)
				}
				store(t, b, key, body)
				get, err := b.PresignGet(t.Context(), key, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				if got := download(t, get); got != body {
					t.Errorf("%v: downloaded %q", off, got)
				}
				put, _, err := b.PresignResult(t.Context(), "01K94R0000000000000000000A", "148e.json", time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				if status := upload(t, put, nil, body); status != http.StatusOK {
					t.Errorf("%v: the upload of a result: %d", off, status)
				}
				if err := b.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestNowIsTheBucketsTime(t *testing.T) {
	t.Parallel()
	const off = -2 * time.Hour
	b := openSkewed(t, startServer(t), off)
	if d := b.Now().Sub(time.Now().Add(off)); d.Abs() > time.Minute {
		t.Errorf("before the first answer it is %v off this computer's clock", d)
	}
	if _, err := b.Current(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Fatal(err)
	}
	if d := time.Until(b.Now()); d.Abs() > time.Minute {
		t.Errorf("after an answer it is %v off the bucket's clock", d)
	}
}
