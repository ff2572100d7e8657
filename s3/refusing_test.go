package s3_test

import (
	"net/http"
	"testing"

	"flydeploy/s3"
)

// startRefusing runs a server that takes every version for another one, as Ceph's gateway 16.2 does.
func startRefusing(t *testing.T) s3.Config {
	t.Helper()
	c := startServer(t)
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut && r.Header.Get("If-Match") != "" {
			return answer(r, http.StatusPreconditionFailed, s3Error("PreconditionFailed")), nil
		}
		return send(r)
	})
	return c
}

// A lock that could not be renewed, and a current.json that could not be written again, are none: that is told before anything else is done,
// and leaves no lock behind.
func TestNoLockInAStorageThatRefusesItsOwnVersions(t *testing.T) {
	t.Parallel()
	c := startRefusing(t)
	for range 2 {
		_, err := open(t, c).Acquire(t.Context(), "ada", "01A", ttl, "")
		wantProblem(t, err, "conditions_refused")
		if _, err := open(t, c).LastLock(t.Context()); !isNotFound(err) {
			t.Errorf("a lock is left: %v", err)
		}
	}
	wantProblem(t, open(t, c).TryConditions(t.Context()), "conditions_refused")

	// One that somebody has left there stays, and is not told as many deploys that take it in turn.
	leaveLock(t, c, `{"locked_by":"bob","deployment_id":"01B","released":true}`)
	_, err := open(t, c).Acquire(t.Context(), "ada", "01A", ttl, "")
	wantProblem(t, err, "conditions_refused")
}
