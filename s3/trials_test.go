package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/s3"
)

func TestTryConditionsLeavesNothing(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	var keys []string
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			keys = append(keys, strings.TrimPrefix(r.URL.Path, "/"+bucket+"/"))
		}
		return send(r)
	})
	b := open(t, c)
	if err := b.TryConditions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(keys) != 4 || !strings.HasPrefix(keys[0], "releases/counter-doctor/") {
		t.Errorf("wrote %q", keys)
	}
	for _, key := range keys {
		if _, err := b.Stat(t.Context(), key); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s is left: %v", key, err)
		}
	}
}

func TestTryConditionsFindsAStorageThatIgnoresThem(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	for _, header := range []string{"If-None-Match", "If-Match"} {
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			// The header is signed and cannot be taken off: this is what a server answers that ignores it.
			if r.Method == http.MethodPut && r.Header.Get(header) != "" {
				return answer(r, http.StatusOK, ""), nil
			}
			return send(r)
		})
		err := open(t, c).TryConditions(t.Context())
		wantProblem(t, err, "conditions_ignored")
		if !strings.Contains(err.Error(), header) {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestTryConditionsWithoutRights(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	c.SecretAccessKey = "tsec_wrong"
	wantProblem(t, open(t, c).TryConditions(t.Context()), "storage_keys")
}

func TestSkewIsToldByAnyAnswer(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	for _, status := range []int{http.StatusOK, http.StatusForbidden, http.StatusNotFound} {
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			resp := answer(r, status, "")
			resp.Header.Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			return resp, nil
		})
		got, err := open(t, c).Skew(t.Context())
		if err != nil || (got+time.Hour).Abs() > time.Minute {
			t.Errorf("%d: %v, %v", status, got, err)
		}
	}
	c.Transport = nil
	if got, err := open(t, c).Skew(t.Context()); err != nil || got != 0 {
		t.Errorf("the server's clock is ours: %v, %v", got, err)
	}
	c.Endpoint = "http://127.0.0.1:1"
	_, err := open(t, c).Skew(t.Context())
	wantProblem(t, err, "storage_unreachable")
}

func TestLastLockAlsoTellsAnExpiredOne(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	if _, err := b.LastLock(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no lock yet: %v", err)
	}
	lock, err := b.Acquire(t.Context(), "ann@laptop", "01THEIRS", time.Millisecond, "")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := b.Current(t.Context()); errors.Is(err, engine.ErrNotFound) {
			break
		}
	}
	if got, err := b.LastLock(t.Context()); err != nil || got.LockedBy != "ann@laptop" || got.DeploymentID != "01THEIRS" {
		t.Errorf("an expired one: %+v, %v", got, err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.LastLock(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a released one: %v", err)
	}
}

func TestLocationIsWhatTheConfigurationResolvedTo(t *testing.T) {
	c := s3.Config{Bucket: bucket, App: "counter", AccessKeyID: "tid_a", SecretAccessKey: "tsec_b"}
	got, err := open(t, c).Location(t.Context())
	want := s3.Location{Endpoint: s3.DefaultEndpoint, Region: "auto", Bucket: bucket, AccessKeyID: "tid_a"}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	dir := t.TempDir()
	t.Setenv("AWS_CONFIG_FILE", write(t, dir+"/config", "[profile ops]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:9000\n"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", write(t, dir+"/credentials", "[ops]\naws_access_key_id = tid_ops\naws_secret_access_key = tsec_ops\n"))
	got, err = open(t, s3.Config{Bucket: bucket, App: "counter", Profile: "ops"}).Location(t.Context())
	want = s3.Location{Endpoint: "http://127.0.0.1:9000", Region: "eu-west-1", Bucket: bucket, AccessKeyID: "tid_ops"}
	if err != nil || got != want {
		t.Errorf("of a profile: %+v, %v", got, err)
	}
}
