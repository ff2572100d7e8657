package s3_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"flydeploy/engine"
	"flydeploy/s3"
)

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	good := s3.Config{Bucket: bucket, AccessKeyID: "tid_key", SecretAccessKey: "tsec_secret", App: "counter"}
	for name, change := range map[string]func(*s3.Config){
		"bucket_name":      func(c *s3.Config) { c.Bucket = "no/slash" },
		"otp_app":          func(c *s3.Config) { c.App = "../other" },
		"storage_keys":     func(c *s3.Config) { c.SecretAccessKey = "" },
		"storage_endpoint": func(c *s3.Config) { c.Endpoint = "https://user:tsec_secret@storage.example" },
	} {
		c := good
		change(&c)
		_, err := s3.Open(t.Context(), c)
		wantProblem(t, err, name)
	}
	b, err := s3.Open(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.URL("releases/a"); got != "https://fly.storage.tigris.dev/counter-releases/releases/a" {
		t.Errorf("by default %s", got)
	}
}

func TestProblemsOfARealServer(t *testing.T) {
	t.Parallel()
	good := startServer(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close() // nobody listens there any more
	for name, change := range map[string]func(*s3.Config){
		"bucket_missing":      func(c *s3.Config) { c.Bucket = "no-such-bucket" },
		"storage_keys":        func(c *s3.Config) { c.AccessKeyID = "tid_unknown" },
		"storage_unreachable": func(c *s3.Config) { c.Endpoint = "http://" + listener.Addr().String() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := good
			change(&c)
			b := open(t, c)
			_, err := b.Current(t.Context())
			wantProblem(t, err, name)
			wantProblem(t, b.WriteResult(t.Context(), "01A", "x.json", nil), name)
			if !strings.Contains(err.Error(), c.Bucket) {
				t.Errorf("does not say where: %v", err)
			}
		})
	}
	t.Run("wrong secret", func(t *testing.T) {
		t.Parallel()
		c := good
		c.SecretAccessKey = "tsec_other"
		_, err := open(t, c).Current(t.Context())
		wantProblem(t, err, "storage_keys")
	})
}

func TestProblemsByAnswer(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]struct {
		status int
		body   string
	}{
		"storage_forbidden": {http.StatusForbidden, s3Error("AccessDenied")},
		"storage_keys":      {http.StatusBadRequest, s3Error("ExpiredToken")},
		"clock":             {http.StatusForbidden, s3Error("RequestTimeTooSkewed")},
		"storage_region":    {http.StatusMovedPermanently, s3Error("PermanentRedirect")},
		"storage_failed":    {http.StatusInternalServerError, "<html>not XML that S3 writes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startServer(t)
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				return answer(r, reply.status, reply.body), nil
			})
			_, err := open(t, c).Current(t.Context())
			wantProblem(t, err, name)
		})
	}
}

func TestRepeats408And409AndNever412(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int32{
		http.StatusRequestTimeout: 2, http.StatusConflict: 2, http.StatusServiceUnavailable: 2,
		http.StatusPreconditionFailed: 1, http.StatusForbidden: 1,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			c := startServer(t)
			var puts atomic.Int32
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPut && puts.Add(1) == 1 {
					return answer(r, status, s3Error("MadeUp")), nil
				}
				return send(r)
			})
			err := open(t, c).WriteResult(t.Context(), "01A", "x.json", []byte("x"))
			if puts.Load() != want || (err == nil) != (want == 2) {
				t.Errorf("%d attempts, want %d: %v", puts.Load(), want, err)
			}
		})
	}
}

func TestEveryRequestAsksTigrisForAConsistentAnswer(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	var requests atomic.Int32
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		requests.Add(1)
		if r.Header.Get("X-Tigris-Consistent") != "true" || !strings.Contains(r.Header.Get("Authorization"), "x-tigris-consistent") {
			t.Errorf("%s %s does not sign X-Tigris-Consistent: %v", r.Method, r.URL.Path, r.Header)
		}
		return send(r)
	})
	b := open(t, c)
	l := acquire(t, b, "ada", "01A")
	if err := errors.Join(l.Release(t.Context()), b.Delete(t.Context(), "releases/x")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stat(t.Context(), "releases/x"); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
	if requests.Load() < 5 {
		t.Errorf("only %d requests", requests.Load())
	}
}

func TestReadsAgainWhatWasCut(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	if err := open(t, c).WriteMetadata(t.Context(), engine.Metadata{ImageRef: "a"}, ""); err != nil {
		t.Fatal(err)
	}
	var gets atomic.Int32
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := send(r)
		if err == nil && gets.Add(1) == 1 {
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(resp.Body, 5), broken{}), resp.Body}
		}
		return resp, err
	})
	m, _, err := open(t, c).Metadata(t.Context())
	if err != nil || m.ImageRef != "a" || gets.Load() != 2 {
		t.Errorf("%+v after %d reads: %v", m, gets.Load(), err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errCut }

func TestCancellationIsNoProblemOfTheStorage(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	_, err := b.Current(cancelled(t))
	var p *engine.Problem
	if !errors.Is(err, context.Canceled) || errors.As(err, &p) {
		t.Errorf("got %v", err)
	}
}

func TestProfileGivesKeysAndEndpoint(t *testing.T) {
	c := startServer(t)
	dir := t.TempDir()
	t.Setenv("AWS_CONFIG_FILE", write(t, dir+"/config", "[profile deploy]\nregion = auto\nendpoint_url = "+c.Endpoint+"\n"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", write(t, dir+"/credentials",
		"[deploy]\naws_access_key_id = "+c.AccessKeyID+"\naws_secret_access_key = "+c.SecretAccessKey+"\n"))
	b := open(t, s3.Config{Bucket: bucket, App: "counter", Profile: "deploy"})
	if err := b.WriteResult(t.Context(), "01A", "x.json", nil); err != nil {
		t.Fatal(err)
	}
	_, err := s3.Open(t.Context(), s3.Config{Bucket: bucket, App: "counter", Profile: "other"})
	wantProblem(t, err, "storage_keys")
}

func TestTheStoragesWordsAreCleaned(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		return answer(r, http.StatusForbidden, "<Error><Code>AccessDenied</Code><Message>see ?X-Amz-Signature=0af1&#10;\u202eforged"+
			strings.Repeat("x", 1000)+"</Message></Error>"), nil
	})
	_, err := open(t, c).Current(t.Context())
	if text := err.Error(); strings.Contains(text, "\nforged") || strings.Contains(text, "\u202e") || strings.Contains(text, "0af1") || len(text) > 800 || !strings.Contains(text, "forged") {
		t.Errorf("%q", text)
	}
}
