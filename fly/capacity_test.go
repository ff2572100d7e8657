package fly_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

// The bodies of real answers: see fly/errors.go for where they come from.
const (
	noMemory     = `{"error":"aborted: could not reserve resource for machine: insufficient memory available to fulfill request"}`
	noResources  = `{"error":"insufficient resources to create new machine"}`
	noRoom       = `{"error":"no capacity available in region"}`
	fullRegion   = `{"error":"launch refused","status":"insufficient_capacity"}`
	quotaUsedUp  = `{"error":"organization \"Acme\" is using 1970176 MB of memory in dfw which is over the allowed quota. please consider other regions"}`
	oneMachine   = `{"error":"To create more than 1 machine per app please add a payment method. https://fly.io/dashboard/acme/billing"}`
	invalidGuest = `{"error":"invalid_argument: invalid config.guest.memory_mb, maximum allowed 2048 MiB"}`
)

// regions gives the regions in which a machine was asked for, one after the other.
func (l *launches) regions() []string {
	var regions []string
	for _, input := range l.asked {
		regions = append(regions, input["region"].(string))
	}
	return regions
}

func TestLaunchGoesOnToTheNextRegion(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]http.HandlerFunc{
		"409": reply(409, noMemory), "412": reply(412, noResources), "400": reply(400, noRoom), "the code": reply(422, fullRegion),
		"503": reply(503, fullRegion), "quota": reply(403, quotaUsedUp),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &launches{state: "started", launch: func(w http.ResponseWriter, r *http.Request, n int, create func() string) {
				if n < 2 {
					refused(w, r)
					return
				}
				created(w, r, n, create)
			}}
			m, err := l.client(t).CreateTemporary(t.Context(), spec)
			if err != nil || m.Region != "any" || !slices.Equal(l.regions(), []string{"ams", "fra", "any"}) {
				t.Errorf("%+v after %v: %v", m, l.regions(), err)
			}
		})
	}
}

func TestNoRegionHasRoom(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		answers []http.HandlerFunc
		problem string
		says    []string
	}{
		"capacity": {[]http.HandlerFunc{reply(409, noMemory), reply(412, noResources), reply(400, noRoom)}, "no_capacity",
			[]string{"ams: 409 aborted", "fra: 412 insufficient", "any: 400 no capacity", "--temporary-region", "--temporary-memory"}},
		"quota": {[]http.HandlerFunc{reply(403, quotaUsedUp), reply(409, noMemory)}, "over_quota",
			[]string{"ams: 403 organization", "fra: 409", "any: 409", "used up in ams. Ask", "--temporary-region"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler, calls := inTurn(try.answers...)
			l := &launches{launch: func(w http.ResponseWriter, r *http.Request, _ int, _ func() string) { handler(w, r) }}
			c := l.client(t)
			l.machines["asleep"] = map[string]any{"id": "asleep", "state": "stopped", "region": "ams", "config": map[string]any{}}
			_, err := c.CreateTemporary(t.Context(), spec)
			wantProblem(t, err, try.problem)
			for _, says := range try.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q is missing: %v", says, err)
				}
			}
			if errors.Is(err, engine.ErrForbidden) || errors.Is(err, engine.ErrUnknownOutcome) || strings.Contains(err.Error(), "fly auth login") {
				t.Errorf("got %v", err)
			}
			if calls.total() != 3 || len(l.deleted) > 0 || l.machines["asleep"]["state"] != "stopped" {
				t.Errorf("%d launches, deleted %v, left %v", calls.total(), l.deleted, l.machines)
			}
		})
	}
}

func TestRefusalsThatNoRegionChanges(t *testing.T) {
	t.Parallel()
	for problem, answer := range map[string]http.HandlerFunc{
		"payment_needed": reply(422, oneMachine), "api_refused": reply(422, invalidGuest), "token_too_weak": reply(403, `{"error":"unauthorized"}`),
	} {
		l := &launches{launch: func(w http.ResponseWriter, r *http.Request, _ int, _ func() string) { answer(w, r) }}
		c := l.client(t)
		_, err := c.CreateTemporary(t.Context(), spec)
		wantProblem(t, err, problem)
		if l.posts != 1 {
			t.Errorf("%s: asked in %v", problem, l.regions())
		}
		if may := c.MayCreate(t.Context()); (may == nil) != (problem == "api_refused") || errors.Is(may, engine.ErrForbidden) != (problem == "token_too_weak") {
			t.Errorf("%s: may create: %v", problem, may)
		}
	}
}

// The first region did not answer, and has made the machine after all.
func TestFullRegionAfterOneWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	l := &launches{state: "started"}
	var late func() string
	l.launch = func(w http.ResponseWriter, r *http.Request, n int, create func() string) {
		switch n {
		case 0:
			late = create
			reply(503, "")(w, r)
		case 1:
			late()
			reply(409, noMemory)(w, r)
		default:
			reply(409, noMemory)(w, r)
		}
	}
	_, err := l.client(t).CreateTemporary(t.Context(), spec)
	wantProblem(t, err, "no_capacity")
	if len(l.machines) != 0 {
		t.Errorf("left behind: %v", l.machines)
	}
}

func TestSizeOfTheTemporaryMachine(t *testing.T) {
	t.Parallel()
	for want, temporary := range map[[2]int]engine.Temporary{
		{1, 1024}: {}, {1, 512}: {MemoryMB: 512}, {2, 1024}: {Size: "shared-cpu-2x"}, {8, 2048}: {Size: "shared-cpu-8x"},
		{2, 4096}: {Size: "performance-2x"}, {4, 16384}: {Size: "performance-4x", MemoryMB: 16384},
	} {
		l := &launches{state: "started", launch: created}
		sized := spec
		sized.Temporary = temporary
		if _, err := l.client(t).CreateTemporary(t.Context(), sized); err != nil {
			t.Fatal(err)
		}
		guest := l.asked[0]["config"].(map[string]any)["guest"].(map[string]any)
		kind := "shared"
		if strings.HasPrefix(temporary.Size, "performance") {
			kind = "performance"
		}
		if guest["cpus"] != float64(want[0]) || guest["memory_mb"] != float64(want[1]) || guest["cpu_kind"] != kind {
			t.Errorf("%+v gives %v", temporary, guest)
		}
		if l.asked[0]["region"] != engine.AnyRegion {
			t.Errorf("no region gives %v", l.asked[0]["region"])
		}
	}
	if sizes := fly.Sizes(); sizes[0] != "shared-cpu-1x" || sizes[len(sizes)-1] != "performance-16x" || slices.Contains(sizes, "a10") {
		t.Errorf("sizes %v", sizes)
	}
}

func TestFullRegionsOfTheLocalFly(t *testing.T) {
	t.Parallel()
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: local.Processes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	c := localClient(t, f, f.Token())
	image := pushRelease(t, f, "deployment-1")
	asleep, err := f.Launch(t.Context(), local.MachineSpec{Image: image, Region: "ams", NoService: true, State: "stopped"})
	if err != nil {
		t.Fatal(err)
	}
	temporary := engine.TemporaryMachine{UpgradeID: "01UPGRADE", Image: image, LiveFor: time.Minute, Temporary: engine.Temporary{Regions: []string{"ams", "any"}}}
	makeRoom := f.FillRegion("ams")
	m, err := c.CreateTemporary(t.Context(), temporary)
	if err != nil || m.Region == "ams" || m.Region == "any" {
		t.Errorf("%+v, %v", m, err)
	}
	f.FillRegion("any")
	_, err = c.CreateTemporary(t.Context(), temporary)
	wantProblem(t, err, "no_capacity")
	makeRoom()
	if again, err := c.CreateTemporary(t.Context(), temporary); err != nil || again.Region != "ams" {
		t.Errorf("%+v, %v", again, err)
	}
	temporary.MemoryMB = 4096
	_, err = c.CreateTemporary(t.Context(), temporary)
	wantProblem(t, err, "api_refused")
	if !strings.Contains(err.Error(), "memory_mb") {
		t.Errorf("got %v", err)
	}
	if err := c.Destroy(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	left, err := c.Machines(t.Context())
	if err != nil || len(left) != 1 || left[0].ID != asleep || left[0].State != "stopped" {
		t.Errorf("left %+v, %v", left, err)
	}
}
