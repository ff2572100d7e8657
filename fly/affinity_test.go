package fly_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

// staleHosts answers 404 for a while about machines that were just made.
type staleHosts struct {
	launches
	gets, deletes, execs atomic.Int64 // how many are answered so
	cookies              atomic.Int64 // requests with the cookie
}

func (s *staleHosts) client(t *testing.T) *fly.Client {
	t.Helper()
	s.machines = map[string]map[string]any{}
	stale := func(left *atomic.Int64, next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if cookie, err := r.Cookie("fly_flaps_affinity"); err == nil && cookie.Value == "host1" {
				s.cookies.Add(1)
			}
			if left.Add(-1) >= 0 {
				reply(404, `{"error":"machine not found"}`)(w, r)
				return
			}
			next(w, r)
		}
	}
	return serve(t, map[string]http.HandlerFunc{
		"POST ": func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "fly_flaps_affinity", Value: "host1", Path: "/v1/apps/counter"})
			s.create(w, r)
		},
		"GET ":         s.list,
		"GET /{id}":    stale(&s.gets, s.get),
		"DELETE /{id}": stale(&s.deletes, s.remove),

		"POST /{id}/exec": stale(&s.execs, reply(200, `{}`)),
	})
}

func TestMachineThatTheAPIDoesNotKnowYet(t *testing.T) {
	t.Parallel()
	s := &staleHosts{launches: launches{state: "started", launch: created}}
	s.gets.Store(2)
	c := s.client(t)
	m, err := c.CreateTemporary(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	s.execs.Store(1)
	if _, err := c.Exec(t.Context(), m.ID, []string{"true"}, "", time.Second); err != nil {
		t.Error(err)
	}
	if s.cookies.Load() != 5 {
		t.Errorf("%d of 5 requests had the cookie", s.cookies.Load())
	}
	s.gets.Store(100)
	s.deletes.Store(1)
	if err := c.Destroy(t.Context(), m.ID); err != nil || len(s.machines) != 0 {
		t.Errorf("left %v: %v", s.machines, err)
	}
	if err := c.Destroy(t.Context(), m.ID); err != nil { // it is gone
		t.Error(err)
	}
}

// Whatever looking at it says, a machine that was launched is destroyed.
func TestMachineThatIsNeverFoundIsDestroyed(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]http.HandlerFunc{
		"404": reply(404, `{"error":"machine not found"}`), "403": reply(403, `{"error":"unauthorized"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &launches{state: "started", launch: created}
			l.machines = map[string]map[string]any{}
			c := serve(t, map[string]http.HandlerFunc{"POST ": l.create, "GET ": l.list, "GET /{id}": get, "DELETE /{id}": l.remove})
			_, err := c.CreateTemporary(t.Context(), spec)
			if err == nil || len(l.machines) != 0 || len(l.deleted) != 1 {
				t.Errorf("left %v, deleted %v: %v", l.machines, l.deleted, err)
			}
			if name == "404" {
				wantProblem(t, err, "temporary_failed")
				if !strings.Contains(err.Error(), "8 GB") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestAffinityOnTheLocalFly(t *testing.T) {
	t.Parallel()
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: local.Processes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	image := pushRelease(t, f, "deployment-1")
	c := localClient(t, f, f.Token())
	f.LagHosts(time.Hour)
	m, err := c.CreateTemporary(t.Context(), engine.TemporaryMachine{UpgradeID: "01UPGRADE", Image: image, LiveFor: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), m.ID, []string{"/bin/true"}, "", time.Second); err != nil {
		t.Error(err)
	}
	wantProblem(t, execWithoutCookie(t, f, m.ID), "machine_gone")
	if err := c.Destroy(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if left, err := c.Machines(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left %+v, %v", left, err)
	}
}

// execWithoutCookie is the first request of a client, which has no cookie yet.
func execWithoutCookie(t *testing.T, f *local.Fly, id string) error {
	t.Helper()
	_, err := localClient(t, f, f.Token()).Exec(t.Context(), id, []string{"/bin/true"}, "", time.Second)
	return err
}
