package fly_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
)

const machineID = "148ed193b95489"

func TestExecSendsWords(t *testing.T) {
	t.Parallel()
	type body struct {
		Command []string `json:"command"`
		Stdin   string   `json:"stdin"`
		Timeout int      `json:"timeout"`
	}
	words := []string{"/bin/sh", "-c", `echo "$1"`, "fd", "a && b"}
	c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": func(w http.ResponseWriter, r *http.Request) {
		if got, want := decode[body](t, r), (body{words, "read", 2}); !reflect.DeepEqual(got, want) || r.PathValue("id") != machineID {
			t.Errorf("%s got %+v, want %+v", r.PathValue("id"), got, want)
		}
		reply(200, `{"stdout":"a && b\n","stderr":"w","exit_code":3,"exit_signal":0}`)(w, r)
	}})
	out, err := c.Exec(t.Context(), machineID, words, "read", 1100*time.Millisecond)
	if want := (engine.Output{Stdout: "a && b\n", Stderr: "w", ExitCode: 3}); err != nil || out != want {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestExecTellsASignal(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]int{
		`{"exit_code":null,"exit_signal":9}`: 137, `{"exit_signal":9}`: 137, `{"exit_code":0,"exit_signal":9}`: 137,
		`{"exit_code":0,"exit_signal":-1}`: 0, `{"exit_code":0,"exit_signal":null}`: 0, `{"exit_code":0,"exit_signal":0}`: 0, `{}`: 0,
		`{"exit_code":3,"exit_signal":-1}`: 3, `{"exit_code":3,"exit_signal":null}`: 3,
	} {
		c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": reply(200, answer)})
		if out, err := c.Exec(t.Context(), machineID, []string{"x"}, "", time.Second); err != nil || out.ExitCode != want {
			t.Errorf("%s is %+v, want exit code %d: %v", answer, out, want, err)
		}
	}
}

// Many machines are asked at the same time: what one of them says must not fill the memory.
func TestAnAnswerOfOneMachineIsBounded(t *testing.T) {
	t.Parallel()
	answer := `{"stdout":"` + strings.Repeat("x", 5<<20) + `"}`
	c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": reply(200, answer)})
	if out, err := c.Exec(t.Context(), machineID, []string{"x"}, "", time.Second); err == nil || !strings.Contains(err.Error(), "incomplete") {
		t.Errorf("%d bytes: %v", len(out.Stdout), err)
	}
}

func TestExecIsNeverRepeatedBlindly(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		handler http.HandlerFunc
		unknown bool
		problem string
	}{
		"408":                {reply(408, `{"error":"deadline_exceeded"}`), true, "api_failed"},
		"500":                {reply(500, `{"error":"internal"}`), true, "api_failed"},
		"502 not JSON":       {reply(502, "<html>Bad Gateway"), true, "api_failed"},
		"503":                {reply(503, ``), true, "api_failed"},
		"cut":                {cut, true, "api_unreachable"},
		"cut in the middle":  {cutBody, true, "api_failed"},
		"200 not JSON":       {reply(200, "hello"), true, "api_failed"},
		"400":                {reply(400, `{"error":"timeout must not exceed 60 seconds"}`), false, "api_refused"},
		"401":                {reply(401, `{"error":"Authenticate: token validation error"}`), false, "token_refused"},
		"403":                {reply(403, `{"error":"forbidden"}`), false, "token_too_weak"},
		"404":                {reply(404, `{"error":"machine not found"}`), false, "machine_gone"},
		"302 to elsewhere":   {http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound).ServeHTTP, false, "api_refused"},
		"echo of the secret": {reply(422, `{"error":"no `+testToken+`"}`), false, "api_refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler, calls := inTurn(try.handler)
			c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": handler})
			_, err := c.Exec(t.Context(), machineID, []string{"true"}, "", time.Second)
			wantProblem(t, err, try.problem)
			if calls.total() != 1 {
				t.Errorf("sent %d times", calls.total())
			}
			if errors.Is(err, engine.ErrUnknownOutcome) != try.unknown {
				t.Errorf("unknown outcome is %v: %v", !try.unknown, err)
			}
			if !strings.Contains(err.Error(), machineID) {
				t.Errorf("the machine is not named: %v", err)
			}
		})
	}
}

func TestErrorsShowTheAPIsOwnWords(t *testing.T) {
	t.Parallel()
	c := serve(t, map[string]http.HandlerFunc{
		"POST /{id}/exec": reply(401, `{"error":"Authenticate: token validation error"}`),
		"GET ":            reply(400, "{\"error\":\"bad\",\"message\":\"because\\u001b[31m\\nof this\"}"),
	})
	_, err := c.Exec(t.Context(), machineID, []string{"true"}, "", time.Second)
	for _, part := range []string{"exec on machine " + machineID, "401 Authenticate: token validation error",
		"01REQUEST-ams", "fly auth login", "fly tokens create deploy -a counter"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing: %v", part, err)
		}
	}
	if _, err := c.Machines(t.Context()); !strings.Contains(err.Error(), "400 bad: because of this (request") {
		t.Errorf("got %v", err)
	}
}

func TestErrorsQuoteNoSecretOfTheRequest(t *testing.T) {
	t.Parallel()
	const url = "https://s3.example/b/k?X-Amz-Credential=AKID%2Fx&X-Amz-Expires=60&X-Amz-Signature=0123abcd"
	c := serve(t, map[string]http.HandlerFunc{
		"POST /{id}/exec": reply(400, `{"error":"cannot run [\"curl\",\"`+url+`\"] for `+testToken+`"}`),
	})
	_, err := c.Exec(t.Context(), machineID, []string{"curl", url}, "", time.Second)
	wantProblem(t, err, "api_refused")
	if text := err.Error(); strings.Contains(text, "0123abcd") || strings.Contains(text, "AKID") || !strings.Contains(text, "X-Amz-Expires=60") {
		t.Errorf("got %v", err)
	}
}

// Macaroons are longer than what an error shows of an answer.
func TestErrorsQuoteNoBeginningOfAToken(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 100, 250} {
		token := "fm2_" + strings.Repeat("lJPECAAA", 90)
		server := httptest.NewServer(reply(400, `{"error":"`+strings.Repeat("x", before)+` invalid authorization: FlyV1 `+token+`"}`))
		defer server.Close()
		c, err := fly.New(fly.Options{App: "counter", Token: token, BaseURL: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Exec(t.Context(), machineID, []string{"true"}, "", time.Second)
		wantProblem(t, err, "api_refused")
		if strings.Contains(err.Error(), "fm2_") {
			t.Errorf("got %v", err)
		}
	}
}

func TestRateLimitedExecIsSentAgain(t *testing.T) {
	t.Parallel()
	handler, calls := inTurn(reply(429, `{"error":"rate limit exceeded"}`), reply(200, `{"stdout":"ok"}`))
	c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": handler})
	out, err := c.Exec(t.Context(), machineID, []string{"true"}, "", time.Second)
	if err != nil || out.Stdout != "ok" || calls.total() != 2 {
		t.Errorf("%+v after %d calls: %v", out, calls.total(), err)
	}
}

func TestPauseThatTheAPIAsksFor(t *testing.T) {
	t.Parallel()
	handler, calls := inTurn(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		reply(429, `{"error":"rate limit exceeded"}`)(w, r)
	}, reply(200, `{}`))
	c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": handler})
	start := time.Now()
	_, err := c.Exec(t.Context(), machineID, []string{"true"}, "", time.Second)
	if waited := time.Since(start); err != nil || calls.total() != 2 || waited < time.Second {
		t.Errorf("%d calls in %v: %v", calls.total(), waited, err)
	}
	long, calls := inTurn(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		reply(429, `{"error":"rate limit exceeded"}`)(w, r)
	})
	c = serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": long})
	_, err = c.Exec(t.Context(), machineID, []string{"true"}, "", time.Second)
	wantProblem(t, err, "rate_limited")
	if calls.total() != 1 {
		t.Errorf("%d calls within an hour's pause", calls.total())
	}
}

func TestExecKeepsBelowTheRateLimit(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	at := map[string][]time.Time{}
	c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		at[r.PathValue("id")] = append(at[r.PathValue("id")], time.Now())
		mu.Unlock()
		reply(200, `{}`)(w, r)
	}})
	var wg sync.WaitGroup
	start := time.Now()
	for _, id := range []string{"a", "b"} {
		for range 4 {
			wg.Go(func() {
				if _, err := c.Exec(t.Context(), id, []string{"true"}, "", time.Second); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for id, times := range at {
		// A burst of three, and the fourth a second after the start; machines do not wait for each other.
		if took := times[3].Sub(start); took < 900*time.Millisecond || took > 1900*time.Millisecond {
			t.Errorf("the fourth call to %s came after %v", id, took)
		}
	}
}

func TestExecThatTheRateLimitDelaysTooLongIsNotSent(t *testing.T) {
	t.Parallel()
	handler, calls := inTurn(reply(200, `{}`))
	c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": handler})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var err error
	for range 4 {
		_, err = c.Exec(ctx, machineID, []string{"true"}, "", time.Second)
	}
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, engine.ErrUnknownOutcome) || calls.total() != 3 {
		t.Errorf("%d calls: %v", calls.total(), err)
	}
}

func TestTooLargeACommandIsRecognised(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"stdout": reply(200, `{"stdout":"Rejection([PayloadTooLarge, BodyReadError])\n","exit_code":0}`),
		"stderr": reply(200, `{"stderr":"Rejection([PayloadTooLarge])","exit_code":0}`),
		"413":    reply(413, `{"error":"too large"}`),
	} {
		c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": handler})
		_, err := c.Exec(t.Context(), machineID, []string{"true"}, "", time.Second)
		if !errors.Is(err, fly.ErrTooLarge) || errors.Is(err, engine.ErrUnknownOutcome) {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, _ := json.Marshal("it printed Rejection([PayloadTooLarge") // a command's own output
	c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": reply(200, `{"stdout":`+string(text)+`}`)})
	if _, err := c.Exec(t.Context(), machineID, []string{"true"}, "", time.Second); err != nil {
		t.Error(err)
	}
}

func TestExecHasADeadline(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": func(http.ResponseWriter, *http.Request) { <-stuck }})
	defer close(stuck)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := c.Exec(ctx, machineID, []string{"true"}, "", time.Second)
	if !errors.Is(err, engine.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCancelledExecIsUnknown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	stuck := make(chan struct{})
	c := serve(t, map[string]http.HandlerFunc{"POST /{id}/exec": func(http.ResponseWriter, *http.Request) { cancel(); <-stuck }})
	defer close(stuck)
	_, err := c.Exec(ctx, machineID, []string{"true"}, "", time.Second)
	if !errors.Is(err, engine.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutAConnectionNothingWasCarriedOut(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = newClient(t, "http://"+listener.Addr().String()).Exec(ctx, machineID, []string{"true"}, "", time.Second)
	wantProblem(t, err, "api_unreachable")
	if errors.Is(err, engine.ErrUnknownOutcome) {
		t.Errorf("got %v", err)
	}
}
