package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
)

// runHook runs the command of one moment, and gives what it logs.
func runHook(t *testing.T, command string, h Hooks) ([]string, error) {
	t.Helper()
	h.Commands = map[engine.Moment]string{engine.MomentBeforeCommit: command}
	var lines []string
	err := h.Run(t.Context(), event(), func(line string) { lines = append(lines, line) })
	return lines, err
}

func event() engine.MomentEvent {
	return engine.MomentEvent{V: 1, Type: "hook", Hook: engine.MomentBeforeCommit, Upgrade: engine.Upgrade{ID: "01K9", Version: "2.0.0"}}
}

func TestACommandReadsTheEvent(t *testing.T) {
	dir := t.TempDir()
	lines, err := runHook(t, `cat > event.json; echo "$FLYDEPLOY_HOOK in $PWD"; printf '\033[31mred\033[0m\n' >&2; echo fm2_AbCd0123`, Hooks{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join(dir, "event.json"))
	var read engine.MomentEvent
	if err != nil || json.Unmarshal(body, &read) != nil || read.Hook != engine.MomentBeforeCommit || read.Upgrade.Version != "2.0.0" {
		t.Errorf("it read %q: %v", body, err)
	}
	for _, want := range []string{"running", "before_commit in " + dir, "red", "[redacted]"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not among %q", want, lines)
		}
	}
}

// A command need not read its input, however long that is.
func TestACommandThatReadsNothing(t *testing.T) {
	e := event()
	e.Upgrade.Message = strings.Repeat("x", 1<<20)
	h := Hooks{Commands: map[engine.Moment]string{e.Hook: "true"}}
	if err := h.Run(t.Context(), e, func(string) {}); err != nil {
		t.Error(err)
	}
}

func TestWithoutACommandNothingRuns(t *testing.T) {
	if err := (Hooks{}).Run(t.Context(), event(), func(line string) { t.Error(line) }); err != nil {
		t.Error(err)
	}
}

func TestACommandThatFails(t *testing.T) {
	_, err := runHook(t, "echo no tickets; exit 3", Hooks{})
	p := engine.AsProblem(err)
	if p == nil || p.Name != "hook_failed" || p.What != "the hook before_commit failed (exit status 3): no tickets" || !strings.Contains(p.Remedy, "--no-hooks") {
		t.Errorf("%+v", p)
	}
}

// Each moment's command has a limit, its own or the usual one. The record of a deploy says that it runs until the command of its end is
// done: that has a shorter one.
func TestEveryCommandHasALimit(t *testing.T) {
	for _, moment := range engine.Moments {
		usual := time.Minute
		if moment == engine.MomentEnded {
			usual = 30 * time.Second
		}
		if got := (Hooks{}).timeout(moment); got != usual {
			t.Errorf("%s has %s, want %s", moment, got, usual)
		}
		t.Run(string(moment), func(t *testing.T) {
			t.Parallel()
			h := Hooks{
				Commands: map[engine.Moment]string{moment: `read -r line; echo "$FLYDEPLOY_HOOK read $line"; exec sleep 1000`},
				Timeouts: map[engine.Moment]time.Duration{moment: time.Second},
			}
			e := event()
			e.Hook = moment
			var lines []string
			err := h.Run(t.Context(), e, func(line string) { lines = append(lines, line) })
			if p := engine.AsProblem(err); p == nil || p.Name != "hook_failed" || !strings.HasPrefix(p.What, "the hook "+string(moment)+": did not finish within 1s") {
				t.Errorf("%v", err)
			}
			if want := string(moment) + ` read {"v":1,"type":"hook","hook":"` + string(moment) + `",`; !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, want) }) {
				t.Errorf("%q", lines)
			}
		})
	}
}

// Processes that a command has started end with it, also those that ignore an interrupt.
func TestACommandEndsWithWhatItHasStarted(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "alive") // its reader reads to the end once nobody has it open any more
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		f, err := os.Open(fifo)
		if err == nil {
			_, err = io.ReadAll(f)
		}
		ended <- err
	}()
	ctx, stop := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	h := Hooks{Dir: dir, Commands: map[engine.Moment]string{
		engine.MomentBeforeCommit: `(trap "" INT; exec 3>alive; echo started; while :; do sleep 1000; done) & wait`,
	}}
	err := h.Run(ctx, event(), func(line string) {
		if line == "started" {
			stop(stopped)
		}
	})
	if !errors.Is(err, stopped) {
		t.Errorf("it ended with %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func posting(t *testing.T, answer transport) Hooks {
	t.Helper()
	n, err := Notify{
		URL: "https://secret-user:secret-password@hooks.example.com/T0/secret-path?token=secret-query", Headers: map[string]string{"Authorization": "env:TOKEN", "X-Plain": "yes"},
		Text: func(r engine.Result) string { return "counter " + r.Upgrade.Version },
	}.Resolve(func(string) string { return "Bearer secret-token" })
	if err != nil {
		t.Fatal(err)
	}
	return Hooks{Notify: n, client: &http.Client{Transport: answer, CheckRedirect: noRedirects.CheckRedirect}}
}

func answer(status int) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://elsewhere.example.com/"}}, Body: io.NopCloser(strings.NewReader("secret-answer"))}
}

func TestTheOutcomeIsPosted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		h := posting(t, func(r *http.Request) (*http.Response, error) {
			tries++
			if tries < 3 {
				return answer(503), nil
			}
			body, _ := io.ReadAll(r.Body)
			var posted struct {
				Text    string         `json:"text"`
				Outcome engine.Outcome `json:"outcome"`
				V       int            `json:"v"`
			}
			if json.Unmarshal(body, &posted) != nil || posted.Text != "counter 2.0.0" || posted.Outcome != engine.OutcomeSucceeded || posted.V != 1 {
				t.Errorf("posted: %s", body)
			}
			if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer secret-token" || r.Header.Get("X-Plain") != "yes" || r.Header.Get("Idempotency-Key") != "01K9" {
				t.Errorf("%s with %v", r.Method, r.Header)
			}
			return answer(204), nil
		})
		err := h.Post(t.Context(), engine.Result{V: 1, Outcome: engine.OutcomeSucceeded, Upgrade: engine.Upgrade{ID: "01K9", Version: "2.0.0"}})
		if err != nil || tries != 3 {
			t.Errorf("after %d tries: %v", tries, err)
		}
	})
}

// Whatever the other side does, posting ends with its time, and its error tells no secret.
func TestTheOutcomeThatCannotBePosted(t *testing.T) {
	for name, test := range map[string]struct {
		answer transport
		tries  int // 0: as many as there is time for
		says   string
	}{
		"refused":       {func(*http.Request) (*http.Response, error) { return answer(403), nil }, 1, "posted to hooks.example.com: 403 Forbidden"},
		"redirected":    {func(*http.Request) (*http.Response, error) { return answer(302), nil }, 1, "302 Found"},
		"down":          {func(*http.Request) (*http.Response, error) { return answer(503), nil }, 0, "503 Service Unavailable"},
		"no connection": {func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }, 0, "connection refused"},
		"silent": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 0, "did not answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				tries, begun := 0, time.Now()
				h := posting(t, func(r *http.Request) (*http.Response, error) { tries++; return test.answer(r) })
				err := h.Post(ctx, engine.Result{})
				if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v", err)
				}
				if test.tries > 0 && tries != test.tries || test.tries == 0 && tries < 3 || time.Since(begun) > 15*time.Second {
					t.Errorf("%d tries in %s", tries, time.Since(begun))
				}
			})
		})
	}
}

func TestWhatNotifyNames(t *testing.T) {
	for name, test := range map[string]struct {
		n    Notify
		says string // "" for none
	}{
		"a URL":                     {Notify{URL: "https://example.com/x"}, ""},
		"a URL of the environment":  {Notify{URL: "env:HOOK"}, ""},
		"loopback":                  {Notify{URL: "http://127.0.0.1:9/x"}, ""},
		"no URL":                    {Notify{}, "url must begin with https://"},
		"plain http":                {Notify{URL: "http://example.com/x"}, "url must begin with https://"},
		"an unset URL":              {Notify{URL: "env:NONE"}, "the environment has no NONE"},
		"an unset header":           {Notify{URL: "https://example.com", Headers: map[string]string{"A": "env:NONE"}}, "A: the environment has no NONE"},
		"no URL at all":             {Notify{URL: "https://exa mple.com/secret"}, "url must begin with https://"},
		"a secret over plain http":  {Notify{URL: "env:PLAIN"}, "url must begin with https://"},
		"an odd byte in a header":   {Notify{URL: "https://example.com", Headers: map[string]string{"A": "secret\x01"}}, `"A" is not a header`},
		"a space in its name":       {Notify{URL: "https://example.com", Headers: map[string]string{"A B": "secret"}}, `"A B" is not a header`},
		"a header of several lines": {Notify{URL: "https://example.com", Headers: map[string]string{"A": "secret\r\nC: d"}}, `"A" is not a header`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.n.Resolve(func(name string) string {
				return map[string]string{"HOOK": "https://example.com/secret", "PLAIN": "http://example.com/secret"}[name]
			})
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("%v", err)
			}
		})
	}
}
