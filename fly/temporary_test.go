package fly_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
)

// launches is an app's machines with just enough of the Machines API for a temporary machine, and its faults.
type launches struct {
	mu       sync.Mutex
	machines map[string]map[string]any // by id
	posts    int
	deleted  []string
	// launch answers a POST; make creates the machine that it asked for.
	launch func(w http.ResponseWriter, r *http.Request, n int, create func() string)
	asked  []map[string]any // what was launched
	// state of a machine that was created.
	state string
}

func (l *launches) client(t *testing.T) *fly.Client {
	t.Helper()
	l.machines = map[string]map[string]any{}
	return serve(t, map[string]http.HandlerFunc{
		"POST ":        l.create,
		"GET ":         l.list,
		"GET /{id}":    l.get,
		"DELETE /{id}": l.remove,
	})
}

func (l *launches) create(w http.ResponseWriter, r *http.Request) {
	var input map[string]any
	_ = json.NewDecoder(r.Body).Decode(&input)
	l.mu.Lock()
	n := l.posts
	l.posts++
	l.asked = append(l.asked, input)
	l.mu.Unlock()
	l.launch(w, r, n, func() string {
		l.mu.Lock()
		defer l.mu.Unlock()
		id := "m" + string(rune('0'+n))
		l.machines[id] = map[string]any{"id": id, "state": l.state, "region": input["region"], "config": input["config"]}
		return id
	})
}

func (l *launches) list(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []any{}
	for _, m := range l.machines {
		all = append(all, m)
	}
	writeJSON(w, all)
}

func (l *launches) get(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m, ok := l.machines[r.PathValue("id")]; ok {
		writeJSON(w, m)
		return
	}
	reply(404, `{"error":"machine not found"}`)(w, r)
}

func (l *launches) remove(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.machines, r.PathValue("id"))
	l.deleted = append(l.deleted, r.PathValue("id"))
	reply(200, `{"ok":true}`)(w, r)
}

func writeJSON(w http.ResponseWriter, v any) {
	body, _ := json.Marshal(v)
	_, _ = w.Write(body)
}

// created answers a launch as it should be.
func created(w http.ResponseWriter, _ *http.Request, _ int, create func() string) {
	writeJSON(w, map[string]any{"id": create(), "state": "created"})
}

var spec = engine.TemporaryMachine{
	UpgradeID: "01UPGRADE", UnderLock: true, Image: "registry.fly.io/counter:deployment-2", LiveFor: 20 * time.Minute,
	Temporary: engine.Temporary{Regions: []string{"ams", "fra", engine.AnyRegion}, Env: map[string]string{"AWS_REGION": "auto"}},
}

func TestTemporaryMachineIsASleepThatEndsItself(t *testing.T) {
	t.Parallel()
	l := &launches{state: "started", launch: created}
	c := l.client(t)
	m, err := c.CreateTemporary(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != "m0" || m.Temporary != "01UPGRADE" || !m.UnderLock || m.LeftOut == "" || m.State != "started" || m.Region != "ams" {
		t.Errorf("got %+v", m)
	}
	want := map[string]any{
		"image":        spec.Image,
		"env":          map[string]any{"AWS_REGION": "auto"},
		"init":         map[string]any{"exec": []any{"/bin/sleep", "1200"}},
		"guest":        map[string]any{"cpu_kind": "shared", "cpus": 1.0, "memory_mb": 1024.0},
		"metadata":     map[string]any{"flydeploy_upgrade": "01UPGRADE", "flydeploy_under_lock": "true", "fly_process_group": "fly_app_console"},
		"auto_destroy": true,
		"restart":      map[string]any{"policy": "no"},
		"dns":          map[string]any{"skip_registration": true},
	}
	if got := l.machines["m0"]["config"]; !reflect.DeepEqual(got, want) {
		t.Errorf("launched with %v, want %v", got, want)
	}
	for range 2 { // what is gone can be destroyed again
		if err := c.Destroy(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.machines) != 0 {
		t.Errorf("left: %v", l.machines)
	}
}

func TestLaunchWaitsForTheRegistry(t *testing.T) {
	t.Parallel()
	l := &launches{state: "started", launch: func(w http.ResponseWriter, r *http.Request, n int, create func() string) {
		if n == 0 {
			reply(500, `{"error":"failed to get manifest registry.fly.io/counter: MANIFEST_UNKNOWN: manifest unknown"}`)(w, r)
			return
		}
		created(w, r, n, create)
	}}
	if _, err := l.client(t).CreateTemporary(t.Context(), spec); err != nil || l.posts != 2 {
		t.Errorf("after %d launches: %v", l.posts, err)
	}
}

func TestLaunchWithoutAnAnswerIsLookedUp(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]http.HandlerFunc{"408": reply(408, ""), "502": reply(502, "<html>"), "cut": cut} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &launches{state: "started", launch: func(w http.ResponseWriter, r *http.Request, _ int, create func() string) {
				create()
				lost(w, r)
			}}
			m, err := l.client(t).CreateTemporary(t.Context(), spec)
			if err != nil || m.ID != "m0" || l.posts != 1 {
				t.Errorf("%+v after %d launches: %v", m, l.posts, err)
			}
		})
	}
}

func TestLaunchIsRepeatedOnlyAfterLooking(t *testing.T) {
	t.Parallel()
	l := &launches{state: "started"}
	var first time.Time
	l.launch = func(w http.ResponseWriter, r *http.Request, n int, create func() string) {
		if n == 0 {
			first = time.Now()
			reply(503, "")(w, r)
			return
		}
		if looked := time.Since(first); looked < 5*time.Second {
			t.Errorf("looked for %v only", looked)
		}
		created(w, r, n, create)
	}
	if m, err := l.client(t).CreateTemporary(t.Context(), spec); err != nil || m.ID != "m1" {
		t.Errorf("%+v, %v", m, err)
	}
}

// The first launch was carried out after all, when nobody looked for its machine any more.
func TestLaunchThatIsRefusedAfterOneWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	l := &launches{state: "started"}
	var late func() string
	l.launch = func(w http.ResponseWriter, r *http.Request, n int, create func() string) {
		if n == 0 {
			late = create
			reply(503, "")(w, r)
			return
		}
		late()
		reply(422, `{"error":"the quota is used up"}`)(w, r)
	}
	_, err := l.client(t).CreateTemporary(t.Context(), spec)
	wantProblem(t, err, "api_refused")
	if len(l.machines) != 0 {
		t.Errorf("left behind: %v", l.machines)
	}
}

func TestLaunchThatIsRefusedIsNotRepeated(t *testing.T) {
	t.Parallel()
	for status, problem := range map[int]string{401: "token_refused", 403: "token_too_weak", 422: "api_refused"} {
		l := &launches{launch: func(w http.ResponseWriter, r *http.Request, _ int, _ func() string) {
			reply(status, `{"error":"no"}`)(w, r)
		}}
		_, err := l.client(t).CreateTemporary(t.Context(), spec)
		wantProblem(t, err, problem)
		if l.posts != 1 {
			t.Errorf("%d: %d launches", status, l.posts)
		}
	}
}

func TestMachineThatDoesNotStartIsRemoved(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"failed", "stopped", "launch_failed"} {
		l := &launches{state: state, launch: created}
		_, err := l.client(t).CreateTemporary(t.Context(), spec)
		wantProblem(t, err, "temporary_failed")
		if !strings.Contains(err.Error(), state) || len(l.machines) != 0 {
			t.Errorf("left %v: %v", l.machines, err)
		}
	}
}

func TestCancelledLaunchLeavesNoMachine(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &launches{state: "started", launch: func(w http.ResponseWriter, r *http.Request, _ int, create func() string) {
		cancel()
		<-r.Context().Done() // the client has gone; the platform goes on
		create()
	}}
	_, err := l.client(t).CreateTemporary(ctx, spec)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, engine.ErrUnknownOutcome) {
		t.Errorf("got %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.machines) != 0 || !slices.Equal(l.deleted, []string{"m0"}) {
		t.Errorf("left %v, deleted %v", l.machines, l.deleted)
	}
}

func TestDestroyTakesTwinsAndNothingElse(t *testing.T) {
	t.Parallel()
	l := &launches{}
	c := l.client(t)
	temporary := func(id string) map[string]any {
		return map[string]any{"metadata": map[string]any{"flydeploy_upgrade": id}}
	}
	l.machines = map[string]map[string]any{
		"a":   {"id": "a", "state": "started", "config": temporary("01A")},
		"b":   {"id": "b", "state": "created", "config": temporary("01A")},
		"c":   {"id": "c", "state": "started", "config": temporary("01B")},
		"app": {"id": "app", "state": "started", "config": map[string]any{}},
	}
	if err := c.Destroy(t.Context(), "app"); err == nil || !strings.Contains(err.Error(), "not a temporary machine") {
		t.Errorf("an app's machine: %v", err)
	}
	if err := c.Destroy(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	slices.Sort(l.deleted)
	if !slices.Equal(l.deleted, []string{"a", "b"}) {
		t.Errorf("deleted %v", l.deleted)
	}
}

func TestDestroyIsRepeatedWhileTheAPIStumbles(t *testing.T) {
	t.Parallel()
	handler, calls := inTurn(reply(500, ""), cut, reply(404, `{"error":"machine not found"}`))
	c := serve(t, map[string]http.HandlerFunc{
		"GET /{id}":    reply(200, `{"id":"a","state":"started","config":{"metadata":{"flydeploy_upgrade":"01A"}}}`),
		"GET ":         reply(200, `[]`),
		"DELETE /{id}": handler,
	})
	if err := c.Destroy(t.Context(), "a"); err != nil || calls.total() != 3 {
		t.Errorf("%d calls: %v", calls.total(), err)
	}
}
