package s3_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"

	"flydeploy/s3"
)

// startUnconditional runs a server, or a proxy in front of one, that knows nothing of a header.
func startUnconditional(t *testing.T, header string) s3.Config {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del(header)
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return s3.Config{Endpoint: server.URL, Bucket: bucket, App: "counter", AccessKeyID: "tid_a", SecretAccessKey: "tsec_b"}
}

// Where anybody can write over the lock, nobody may believe to have it.
func TestNoLockInAStorageThatIgnoresConditions(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"If-None-Match", "If-Match"} {
		c := startUnconditional(t, header)
		for range 2 { // the second time there is the first one's object
			_, err := open(t, c).Acquire(t.Context(), "ada", "01A", ttl, "")
			wantProblem(t, err, "conditions_ignored")
			if err != nil && !strings.Contains(err.Error(), header) {
				t.Errorf("%s: %v", header, err)
			}
		}
	}
}

// The proof is asked for on every way to the lock: also where the answer to the write was lost, and where the lock is
// already there under our own id.
func TestNoUnprovenLock(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"If-None-Match", "If-Match"} {
		c := startUnconditional(t, header)
		c.Transport = loseAnswers(4) // as often as the SDK repeats the write
		_, err := open(t, c).Acquire(t.Context(), "ada", "01A", ttl, "")
		wantProblem(t, err, "conditions_ignored")

		c = startUnconditional(t, header)
		leaveLock(t, c, `{"locked_by":"ada","deployment_id":"01A","own_time_ms":60000}`)
		_, err = open(t, c).Acquire(t.Context(), "ada", "01A", ttl, "")
		wantProblem(t, err, "conditions_ignored")
	}
}
