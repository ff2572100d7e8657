package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"flydeploy/engine"
	"flydeploy/fly/local"
	"flydeploy/s3"
)

const bucket = "counter-releases"

// startServer runs the local Fly's S3, which checks signatures, and has one bucket.
func startServer(t *testing.T) s3.Config {
	t.Helper()
	f, err := local.Start(t.Context(), local.Options{
		App: "counter", Bucket: bucket, StateDir: t.TempDir(), Isolation: local.Processes,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	at := f.S3()
	return s3.Config{
		Endpoint: at.Endpoint, Region: at.Region, Bucket: at.Bucket, AccessKeyID: at.AccessKeyID,
		SecretAccessKey: at.SecretAccessKey, App: "counter",
	}
}

func open(t *testing.T, c s3.Config) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// roundTripper decorates the way to a working server.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// send passes a request on to the server.
func send(r *http.Request) (*http.Response, error) { return http.DefaultTransport.RoundTrip(r) }

var errCut = errors.New("the connection was cut")

// loseAnswers carries the first n PUTs out and loses their answers.
func loseAnswers(n int) http.RoundTripper {
	var mu sync.Mutex
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := send(r)
		mu.Lock()
		defer mu.Unlock()
		if err != nil || r.Method != http.MethodPut || n == 0 {
			return resp, err
		}
		n--
		_ = resp.Body.Close()
		return nil, errCut
	})
}

// answer makes up an answer without asking the server.
func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d", status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

func s3Error(code string) string {
	return `<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>made up</Message></Error>`
}

func wantProblem(t *testing.T, err error, name string) {
	t.Helper()
	var p *engine.Problem
	if !errors.As(err, &p) {
		t.Fatalf("got %v, want the problem %s", err, name)
	}
	if p.Name != name || p.Remedy == "" {
		t.Errorf("got problem %q with remedy %q, want %q: %v", p.Name, p.Remedy, name, err)
	}
	for _, secret := range []string{"tsec_", "tid_", "X-Amz-Signature"} { // how the local Fly's keys begin
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// write makes a file and returns its path.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
