package fault

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// Of several faults the first injected is the outermost; each is used up by as many requests as it was injected for.
func TestOrderAndNumber(t *testing.T) {
	var faults Faults
	var met []string
	note := func(name string) Effect { return Around(func() { met = append(met, name) }, nil) }
	faults.Inject(Target{Service: S3}, 1, note("once"))
	lift := faults.Inject(Target{Action: "GET"}, 0, note("until lifted"))
	faults.Inject(Target{Service: API}, 0, note("of another service"))
	faults.Inject(Target{Subject: "releases/"}, 2, note("twice"))
	handler := faults.Decorate(
		func(r *http.Request) Target { return Target{Service: S3, Action: r.Method, Subject: r.URL.Path[1:]} },
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { met = append(met, "work") }),
	)
	get := func(path string) {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	}
	get("/releases/a")
	get("/other")
	lift()
	get("/releases/a")
	get("/releases/a")
	want := []string{"once", "until lifted", "twice", "work", "until lifted", "work", "twice", "work", "work"}
	if !slices.Equal(met, want) {
		t.Errorf("met %q\nwant %q", met, want)
	}
}

// What an effect lets through of an answer, and whether the work was done.
func TestEffects(t *testing.T) {
	for name, test := range map[string]struct {
		effect Effect
		status int
		body   string
		done   bool
	}{
		"refuse":      {Refuse(503, "busy"), 503, "busy", false},
		"forget":      {Forget(408, "late"), 408, "late", true},
		"forget slow": {ForgetSlow(0, 408, "late"), 408, "late", true},
		"keep quick":  {ForgetSlow(time.Hour, 408, "late"), 201, "made", true},
		"alter":       {Alter(func(body []byte) []byte { return append(body, '!') }), 201, "made!", true},
		"trickle":     {Trickle(1, time.Millisecond), 201, "made", true},
		"delay":       {Delay(time.Millisecond), 201, "made", true},
	} {
		t.Run(name, func(t *testing.T) {
			done := false
			handler := test.effect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				done = true
				w.WriteHeader(http.StatusCreated)
				_, _ = w.Write([]byte("made"))
			}))
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			if w.Code != test.status || w.Body.String() != test.body || done != test.done {
				t.Errorf("answered %d %q, done: %v; want %d %q, %v", w.Code, w.Body, done, test.status, test.body, test.done)
			}
		})
	}
}
