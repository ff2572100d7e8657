package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/s3"
	"flydeploy/s3/s3test"
)

const ttl = time.Minute

func acquire(t *testing.T, b *s3.Bucket, owner, id string) engine.Lock {
	t.Helper()
	l, err := b.Acquire(t.Context(), owner, id, ttl, "")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// leaveLock writes a lock as somebody else would have left it.
func leaveLock(t *testing.T, c s3.Config, body string) {
	t.Helper()
	b := open(t, c)
	url, headers, err := b.PresignPut(t.Context(), "releases/counter-deploy.lock", int64(len(body)), strings.Repeat("0", 64), ttl)
	if err != nil {
		t.Fatal(err)
	}
	if status := upload(t, url, headers, body); status != http.StatusOK {
		t.Fatalf("could not leave a lock: %d", status)
	}
}

func TestLockIsHeldUntilReleased(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	b, other := open(t, c), open(t, c)
	if _, err := b.Current(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Fatalf("an empty bucket has the lock %v", err)
	}
	l := acquire(t, b, "ada@laptop", "01A")
	var held *engine.LockHeldError
	if _, err := other.Acquire(t.Context(), "bob@desk", "01B", ttl, ""); !errors.As(err, &held) {
		t.Fatalf("got %v, want LockHeldError", err)
	}
	if held.Held.LockedBy != "ada@laptop" || held.Held.DeploymentID != "01A" || held.Held.ETag == "" {
		t.Errorf("held by %+v", held.Held)
	}
	before, err := other.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(before.ExpiresAt); left > ttl || left < ttl/2 {
		t.Errorf("expires in %v", left)
	}
	if err := l.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := other.Current(t.Context())
	if err != nil || !after.ExpiresAt.After(before.ExpiresAt) || !after.LockedAt.Equal(before.LockedAt) {
		t.Errorf("after renewal %+v, before %+v: %v", after, before, err)
	}
	for range 2 { // releasing twice is one release
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Current(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Fatalf("after the release: %v", err)
	}
	if err := l.Renew(t.Context()); !errors.Is(err, engine.ErrLockLost) {
		t.Errorf("renewing a released lock: %v", err)
	}
	acquire(t, other, "bob@desk", "01B")
}

func TestOneOfManyGetsTheLock(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	first := open(t, c)
	writers, rounds := 8, 5
	if s3test.Long() {
		writers, rounds = 12, 20
	}
	for round := range rounds {
		var mu sync.Mutex
		var owners []engine.Lock
		var wg sync.WaitGroup
		start := make(chan struct{})
		for w := range writers {
			wg.Go(func() {
				b := open(t, c)
				<-start
				l, err := b.Acquire(t.Context(), "w", fmt.Sprintf("%d-%d", round, w), ttl, "")
				var held *engine.LockHeldError
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					owners = append(owners, l)
				} else if !errors.As(err, &held) {
					t.Errorf("writer %d: %v", w, err)
				}
			})
		}
		close(start)
		wg.Wait()
		if len(owners) != 1 {
			t.Fatalf("round %d: %d owners", round, len(owners))
		}
		// Every round after the first takes a lock that was released.
		if err := owners[0].Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := first.Current(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

// A lock says nothing that can be trusted of times but how long it lives: its owner's clock may be hours off. It is
// expired once it has lain there, unchanged, for that long.
func TestALockExpiresWhenNobodyWritesItForItsOwnTime(t *testing.T) {
	t.Parallel()
	for _, hours := range []time.Duration{-24 * time.Hour, 0, 24 * time.Hour} {
		t.Run(hours.String(), func(t *testing.T) {
			t.Parallel()
			c := startServer(t)
			left := func(own time.Duration) string {
				at := time.Now().Add(hours).UTC()
				return fmt.Sprintf(`{"locked_by":"gone","locked_at":%q,"expires_at":%q,"deployment_id":"01OLD","extra":1}`,
					at.Format(time.RFC3339Nano), at.Add(own).Format(time.RFC3339Nano))
			}
			leaveLock(t, c, left(time.Hour))
			var held *engine.LockHeldError
			if _, err := open(t, c).Acquire(t.Context(), "ada", "01A", ttl, ""); !errors.As(err, &held) {
				t.Fatalf("a lock that was just written is taken: %v", err)
			}
			if left := held.Held.ExpiresIn(); left > time.Hour || left < 59*time.Minute {
				t.Errorf("it expires in %s", left)
			}
			b := open(t, c)
			if err := b.Delete(t.Context(), "releases/counter-deploy.lock"); err != nil {
				t.Fatal(err)
			}
			leaveLock(t, c, left(50*time.Millisecond))
			for {
				l, err := b.Acquire(t.Context(), "ada", "01A", ttl, "")
				if err == nil {
					if err := l.Release(t.Context()); err != nil {
						t.Fatal(err)
					}
					return
				}
				if !errors.As(err, &held) {
					t.Fatal(err)
				}
			}
		})
	}
}

// Whoever looks for the first time at a lock that was left long ago need not wait: the bucket tells how old it is.
func TestAnOldLockIsKnownToBeOldAtTheFirstLook(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	acquire(t, open(t, c), "ada", "01A")
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := send(r)
		if err == nil { // as if the bucket's clock had gone on
			resp.Header.Set("Date", time.Now().Add(ttl+2*time.Second).UTC().Format(http.TimeFormat))
		}
		return resp, err
	})
	acquire(t, open(t, c), "bob", "01B")
}

func TestExpiryGoesByTheBucketsClock(t *testing.T) {
	t.Parallel()
	const slow = 10 * time.Minute // below the 15 minutes that S3 tolerates
	c := startServer(t)
	acquire(t, open(t, c), "ada", "01A")
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := send(r)
		if err == nil { // as if this computer were slow: the bucket says it is later
			resp.Header.Set("Date", time.Now().Add(slow).UTC().Format(http.TimeFormat))
		}
		return resp, err
	})
	l := acquire(t, open(t, c), "bob", "01B")
	if err := l.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Transport = nil
	now, err := open(t, c).Current(t.Context())
	if err != nil || time.Until(now.ExpiresAt) < slow {
		t.Errorf("the lock expires at %v: %v", now.ExpiresAt, err)
	}
}

func TestOverrideTakesExactlyTheLockThatWasShown(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	ada, bob := open(t, c), open(t, c)
	lost := acquire(t, ada, "ada", "01A")
	shown, err := bob.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := lost.Renew(t.Context()); err != nil { // a renewal is another version than the one that was shown
		t.Fatal(err)
	}
	var held *engine.LockHeldError
	if _, err := bob.Acquire(t.Context(), "bob", "01B", ttl, shown.ETag); !errors.As(err, &held) {
		t.Fatalf("an outdated override: %v", err)
	}
	l, err := bob.Acquire(t.Context(), "bob", "01B", ttl, held.Held.ETag)
	if err != nil {
		t.Fatal(err)
	}
	if err := lost.Renew(t.Context()); !errors.Is(err, engine.ErrLockLost) || !strings.Contains(err.Error(), "bob") {
		t.Errorf("renewing an overridden lock: %v", err)
	}
	if err := lost.Release(t.Context()); err != nil {
		t.Errorf("releasing an overridden lock: %v", err)
	}
	if now, err := bob.Current(t.Context()); err != nil || now.DeploymentID != "01B" {
		t.Errorf("now held: %+v, %v", now, err)
	}
	url, err := bob.PresignGet(t.Context(), "releases/counter-deploy.lock", ttl)
	if err != nil {
		t.Fatal(err)
	}
	if body := download(t, url); !strings.Contains(body, `"overrode":{"locked_by":"ada"`) {
		t.Errorf("the lock does not say whom it overrode: %s", body)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestUnreadableLockIsHeldAndCanBeOverridden(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "{", "[]", "{}", "null", `{"locked_by":"x","expires_at":"tomorrow"}`} {
		c := startServer(t)
		leaveLock(t, c, body)
		b := open(t, c)
		var held *engine.LockHeldError
		if _, err := b.Acquire(t.Context(), "ada", "01A", ttl, ""); !errors.As(err, &held) {
			t.Fatalf("%q: got %v", body, err)
		}
		if _, err := b.Acquire(t.Context(), "ada", "01A", ttl, held.Held.ETag); err != nil {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestLockSurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	// One lost answer is repeated by the SDK and meets our own write; with four of them the write is never answered.
	for _, lost := range []int{1, 4} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			t.Parallel()
			c := startServer(t)
			c.Transport = loseAnswers(lost)
			l := acquire(t, open(t, c), "ada", "01A")
			c.Transport = nil
			other := open(t, c)
			now, err := other.Current(t.Context())
			if err != nil || now.DeploymentID != "01A" {
				t.Fatalf("%+v, %v", now, err)
			}
			if err := l.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A storage that answers no write cannot prove that it honours conditions: the lock is not given out, and not left behind.
func TestNoLockWithoutAnyAnswerToAWrite(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	lossy := c
	lossy.Transport = loseAnswers(99)
	_, err := open(t, lossy).Acquire(t.Context(), "ada", "01A", ttl, "")
	wantProblem(t, err, "storage_unreachable")
	if now, err := open(t, c).Current(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("left behind: %+v, %v", now, err)
	}
}

func TestRenewAndReleaseSurviveALostAnswer(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	var lose roundTripper = send
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) { return lose(r) })
	b := open(t, c)
	l := acquire(t, b, "ada", "01A")
	for _, step := range []func(context.Context) error{l.Renew, l.Renew, l.Release} {
		lose = loseAnswers(1).RoundTrip
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Current(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

func TestRenewFindsOutLaterWhatHappened(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	var way roundTripper = send
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) { return way(r) })
	b := open(t, c)
	l := acquire(t, b, "ada", "01A")
	way = func(r *http.Request) (*http.Response, error) {
		if resp, err := send(r); err == nil {
			_ = resp.Body.Close()
		}
		return nil, errCut
	}
	if err := l.Renew(t.Context()); err == nil || errors.Is(err, engine.ErrLockLost) {
		t.Fatalf("renewing without answers: %v", err)
	}
	way = send
	if err := l.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestCancelledAcquireLeavesNoLock(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := send(r)
		if r.Method == http.MethodPut && ctx.Err() == nil { // the user gives up while the answer is on its way
			_ = resp.Body.Close()
			cancel()
			return nil, context.Canceled
		}
		return resp, err
	})
	b := open(t, c)
	if _, err := b.Acquire(ctx, "ada", "01A", ttl, ""); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if now, err := b.Current(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("left behind: %+v, %v", now, err)
	}
}

func TestDeletedLockIsLost(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	b := open(t, c)
	l := acquire(t, b, "ada", "01A")
	if err := b.Delete(t.Context(), "releases/counter-deploy.lock"); err != nil {
		t.Fatal(err)
	}
	if err := l.Renew(t.Context()); !errors.Is(err, engine.ErrLockLost) {
		t.Errorf("renew: %v", err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Errorf("release: %v", err)
	}
}

func TestALockIsShownWithItsEndByTheClockHere(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	at := time.Now().Add(-24 * time.Hour).UTC() // fly_deploy on a computer whose clock is a day slow
	leaveLock(t, c, fmt.Sprintf(`{"locked_by":"bob","locked_at":%q,"expires_at":%q,"deployment_id":"01OLD"}`,
		at.Format(time.RFC3339Nano), at.Add(time.Hour).Format(time.RFC3339Nano)))
	held, err := open(t, c).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shown := held.ByLocalClock()
	if left := time.Until(shown.ExpiresAt); left > time.Hour || left < 59*time.Minute || shown.Lifetime() != time.Hour || !shown.LockedAt.Equal(held.LockedAt) {
		t.Errorf("shown as %+v", shown)
	}
}

func TestTheTextsOfALockAreCleaned(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	leaveLock(t, c, `{"locked_by":"eve\u001b[31m\nflydeploy: forged","host":"a\u202eb","deployment_id":"01\udb40\udc41EVE","own_time_ms":60000}`)
	held, err := open(t, c).Current(t.Context())
	if err != nil || held.LockedBy != "eve flydeploy: forged" || held.Host != "ab" || held.DeploymentID != "01EVE" {
		t.Errorf("%+v, %v", held, err)
	}
}
