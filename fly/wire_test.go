package fly_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"flydeploy/engine"
	"flydeploy/fly"
)

const testToken = "fo1_a-token-that-nobody-may-print"

// serve answers the Machines API's wire format for the app "counter" by hand: for faults that a working server does
// not have.
func serve(t *testing.T, routes map[string]http.HandlerFunc) *fly.Client {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /v1/apps/counter/machines"+path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+testToken || r.Header.Get("User-Agent") != "flydeploy/test" {
				t.Errorf("%s %s is sent as %v", r.Method, r.URL, r.Header)
			}
			handler(w, r)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return newClient(t, server.URL)
}

func newClient(t *testing.T, url string) *fly.Client {
	t.Helper()
	c, err := fly.New(fly.Options{App: "counter", Token: testToken, BaseURL: url, UserAgent: "flydeploy/test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("fly-request-id", "01REQUEST-ams")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// inTurn answers each request with the next of the handlers, and the last one from then on.
func inTurn(handlers ...http.HandlerFunc) (http.HandlerFunc, *counter) {
	n := &counter{}
	return func(w http.ResponseWriter, r *http.Request) {
		handlers[min(n.next(), len(handlers)-1)](w, r)
	}, n
}

type counter struct{ n atomic.Int64 }

// next counts from 0.
func (c *counter) next() int { return int(c.n.Add(1) - 1) }

func (c *counter) total() int { return int(c.n.Load()) }

// cut breaks the connection without an answer.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// cutBody breaks the connection in the middle of an answer.
func cutBody(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte(`{"stdout":"ha`))
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func decode[T any](t *testing.T, r *http.Request) T {
	t.Helper()
	var v T
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	return v
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
	wantNoSecret(t, err)
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if strings.Contains(err.Error(), testToken) {
		t.Errorf("the error shows the token: %v", err)
	}
}
