package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"flydeploy/fly/local/fault"
	"flydeploy/fly/local/machine"
)

func TestTokens(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	id := launch(t, f, machine.Spec{})
	const unknown = `{"error":"Authenticate: token validation error"}`
	one := "/v1/apps/sample/machines/" + id
	tests := []struct {
		authorization, method, path, body string
		status                            int
		says                              string
	}{
		{"", "GET", "/v1/apps/sample/machines", "", 401, unknown},
		{"Bearer wrong", "GET", "/v1/apps/sample/machines", "", 401, unknown},
		{"Basic " + f.config.Tokens.Deploy, "GET", "/v1/apps/sample/machines", "", 401, unknown},
		{"FlyV1 " + f.config.Tokens.Deploy, "GET", "/v1/apps/sample/machines", "", 200, id},
		{"Bearer " + f.config.Tokens.Deploy, "GET", "/v1/apps/other/machines", "", 404, "app not found"},
		{"Bearer " + f.config.Tokens.Deploy, "GET", "/v1/apps/sample/machines/0", "", 404, "machine not found"},
		{"Bearer " + f.config.Tokens.Exec, "GET", one, "", 200, id},
		{"Bearer " + f.config.Tokens.Exec, "GET", one + "/wait", "", 200, "ok"},
		{"Bearer " + f.config.Tokens.Exec, "POST", one + "/exec", `{"cmd":"echo 1"}`, 200, "1"},
		{"Bearer " + f.config.Tokens.Exec, "POST", "/v1/apps/sample/machines", `{}`, 403, "unauthorized"},
		{"Bearer " + f.config.Tokens.Exec, "POST", one + "/stop", "", 403, "unauthorized"},
		{"Bearer " + f.config.Tokens.Exec, "POST", one + "/lease", "", 403, "unauthorized"},
		{"Bearer " + f.config.Tokens.Exec, "POST", one + "/metadata/a", `{"value":"1"}`, 403, "unauthorized"},
		{"Bearer " + f.config.Tokens.Exec, "DELETE", one + "?force=true", "", 403, "unauthorized"},
	}
	for _, test := range tests {
		response, body := rawRequestAs(t, f, test.authorization, test.method, test.path, test.body)
		if response.StatusCode != test.status || !strings.Contains(body, test.says) {
			t.Errorf("%s %s: %d %s, want %d and %s", test.method, test.path, response.StatusCode, body, test.status, test.says)
		}
		if response.Header.Get("fly-request-id") == "" {
			t.Errorf("%s %s: no fly-request-id", test.method, test.path)
		}
	}
}

func TestRateLimits(t *testing.T) {
	f := serve(t, Config{})
	one := launch(t, f, machine.Spec{State: fly.MachineStateStopped})
	other := launch(t, f, machine.Spec{State: fly.MachineStateStopped})
	// A burst passes and the next request does not; another machine and another action have limits of their own.
	burst := func(n int, path string) {
		t.Helper()
		for i := range n + 1 {
			response, body := rawRequest(t, f, http.MethodGet, path, "")
			if limited := response.StatusCode == http.StatusTooManyRequests; limited != (i == n) {
				t.Errorf("request %d of %s: %d %s", i+1, path, response.StatusCode, body)
			}
		}
	}
	burst(3, "/machines")
	burst(10, "/machines/"+one)
	burst(10, "/machines/"+other)
	burst(3, "/machines/"+one+"/metadata")
	// flyctl takes a lease, looks for it, renews and releases it within a second.
	for range 2 {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			if response, body := rawRequest(t, f, method, "/machines/"+one+"/lease", ""); response.StatusCode == http.StatusTooManyRequests {
				t.Errorf("%s lease: %d %s", method, response.StatusCode, body)
			}
		}
	}
}

func TestMetadata(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	c := client(t, f, f.config.Tokens.Deploy)
	id := launch(t, f, machine.Spec{State: fly.MachineStateStopped})
	before := machineNow(t, c, id)
	if err := c.SetMetadata(t.Context(), "sample", id, "note", "one"); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetMetadata(t.Context(), "sample", id)
	if err != nil || got["note"] != "one" || got["fly_process_group"] != "app" {
		t.Errorf("metadata: %v, %v", got, err)
	}
	if response, body := rawRequest(t, f, http.MethodGet, "/machines/"+id+"/metadata/note", ""); body != `{"value":"one"}` {
		t.Errorf("one value: %d %s", response.StatusCode, body)
	}
	if err := c.DeleteMetadata(t.Context(), "sample", id, "note"); err != nil {
		t.Fatal(err)
	}
	if response, _ := rawRequest(t, f, http.MethodGet, "/machines/"+id+"/metadata/note", ""); response.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted value: %d", response.StatusCode)
	}
	if len(before.Config.Metadata) != len(machineNow(t, c, id).Config.Metadata) {
		t.Error("the metadata is not what it was before")
	}
}

func TestLeases(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	c := client(t, f, f.config.Tokens.Deploy)
	id := launch(t, f, machine.Spec{})
	if _, err := c.FindLease(t.Context(), "sample", id); answerOf(err) != http.StatusNotFound {
		t.Errorf("find a lease that nobody has: %v", err)
	}
	ttl := 60
	lease, err := c.AcquireLease(t.Context(), "sample", id, &ttl)
	if err != nil || lease.Status != "success" || lease.Data.Nonce == "" {
		t.Fatalf("acquire: %+v, %v", lease, err)
	}
	nonce := lease.Data.Nonce
	if response, body := rawRequest(t, f, http.MethodPost, "/machines/"+id+"/lease", ""); response.StatusCode != http.StatusConflict {
		t.Errorf("acquire a lease that somebody has: %d %s", response.StatusCode, body)
	}
	if found, err := c.FindLease(t.Context(), "sample", id); err != nil || found.Data.Nonce != "" || found.Data.ExpiresAt == 0 {
		t.Errorf("find: %+v, %v", found, err)
	}
	if err := c.Stop(t.Context(), "sample", fly.StopMachineInput{ID: id}, "other"); answerOf(err) != http.StatusConflict {
		t.Errorf("stop without the lease: %v", err)
	}
	longer := 600
	if renewed, err := c.RefreshLease(t.Context(), "sample", id, &longer, nonce); err != nil || renewed.Data.Nonce != nonce || renewed.Data.ExpiresAt <= lease.Data.ExpiresAt {
		t.Errorf("refresh: %+v, %v", renewed, err)
	}
	if err := c.ReleaseLease(t.Context(), "sample", id, "other"); answerOf(err) != http.StatusConflict {
		t.Errorf("release another's lease: %v", err)
	}
	if err := c.Suspend(t.Context(), "sample", id, nonce); err != nil {
		t.Errorf("suspend with the lease: %v", err)
	}
	if err := c.ReleaseLease(t.Context(), "sample", id, nonce); err != nil {
		t.Fatal(err)
	}
	if err := c.Destroy(t.Context(), "sample", fly.RemoveMachineInput{ID: id, Kill: true}, ""); err != nil {
		t.Errorf("destroy after the release: %v", err)
	}
}

func TestGetApp(t *testing.T) {
	f := serve(t, Config{Org: "acme", NoRateLimits: true})
	app, err := client(t, f, f.config.Tokens.Deploy).GetApp(t.Context(), "sample")
	if err != nil || app.Name != "sample" || app.Organization.Slug != "acme" {
		t.Errorf("app: %+v, %v", app, err)
	}
}

func TestWait(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	c := client(t, f, f.config.Tokens.Deploy)
	id := launch(t, f, machine.Spec{State: fly.MachineStateStopped})
	start := time.Now()
	err := c.Wait(t.Context(), "sample", id, flaps.WithWaitStates("started"), flaps.WithWaitTimeout(time.Second))
	if answerOf(err) != http.StatusRequestTimeout || !strings.Contains(err.Error(), "deadline_exceeded") {
		t.Errorf("wait for what does not come: %v", err)
	}
	if took := time.Since(start); took < time.Second {
		t.Errorf("waited %v of 1s", took)
	}
	for _, query := range []string{"state=settled", "state=stopped", "state=started,stopped", "state=started&state=stopped"} {
		if response, body := rawRequest(t, f, http.MethodGet, "/machines/"+id+"/wait?timeout=1&"+query, ""); response.StatusCode != http.StatusOK {
			t.Errorf("wait?%s: %d %s", query, response.StatusCode, body)
		}
	}
	for _, query := range []string{"timeout=61", "timeout=0", "timeout=soon", "instance_id=other"} {
		response, body := rawRequest(t, f, http.MethodGet, "/machines/"+id+"/wait?"+query, "")
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("wait?%s: %d %s", query, response.StatusCode, body)
		}
	}
}

func TestWhatClientsLookAtBesides(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	id := launch(t, f, machine.Spec{State: fly.MachineStateStopped})
	app := "/v1/apps/sample"
	for _, look := range []struct {
		path   string
		status int
		says   string
		not    string
	}{
		{app + "/machines?summary=true", 200, `"id":"` + id, `"image":`},
		{app + "/machines", 200, `"image":`, "none"},
		{app + "/machines?state=started,stopped", 200, `"id":"` + id, "none"},
		{app + "/machines?state=started,suspended", 200, `[]`, id},
		{app + "/machines/" + id + "/events", 200, `"type":"stop"`, "none"},
		{app + "/machines/" + id + "/events?limit=1", 200, `"type":"stop"`, `"type":"launch"`},
		{app + "/machines/" + id + "/events?limit=none", 400, `"error":`, "none"},
		{app + "/secrets", 200, `{"secrets":[{"name":"DATABASE_URL"}]}`, "hidden"},
		{app + "/volumes", 200, `[]`, "none"},
		{app + "/machines/" + id + "/nothing", 404, `{"error":"not found"}`, "none"},
	} {
		response, body := rawRequestAs(t, f, "Bearer "+f.config.Tokens.Deploy, http.MethodGet, look.path, "")
		if response.StatusCode != look.status || !strings.Contains(body, look.says) || strings.Contains(body, look.not) {
			t.Errorf("%s: %d %s", look.path, response.StatusCode, body)
		}
	}
}

func TestSignals(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	id := launch(t, f, machine.Spec{})
	for body, status := range map[string]int{`{"signal":"SIGNONE"}`: http.StatusBadRequest, `{}`: http.StatusBadRequest, `{"signal":99}`: http.StatusBadRequest, `{"signal":"SIGHUP"}`: http.StatusOK} {
		if response, answer := rawRequest(t, f, http.MethodPost, "/machines/"+id+"/signal", body); response.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", body, response.StatusCode, answer, status)
		}
	}
	for body := ""; !strings.Contains(body, `"type":"exit"`); { // the idle VM ends at any signal
		_, body = rawRequest(t, f, http.MethodGet, "/machines/"+id+"/events", "")
	}
	c := client(t, f, f.config.Tokens.Deploy)
	if err := c.Kill(t.Context(), "sample", launch(t, f, machine.Spec{})); err != nil {
		t.Errorf("by fly-go: %v", err)
	}
	id = launch(t, f, machine.Spec{State: fly.MachineStateStopped})
	for _, path := range []string{"/signal", "/ps"} {
		method := map[string]string{"/signal": http.MethodPost, "/ps": http.MethodGet}[path]
		if response, answer := rawRequest(t, f, method, "/machines/"+id+path, `{"signal":"SIGHUP"}`); response.StatusCode != http.StatusPreconditionFailed {
			t.Errorf("%s of a stopped machine: %d %s", path, response.StatusCode, answer)
		}
	}
}

func TestRestartTakesSecondsAndDurations(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	id := launch(t, f, machine.Spec{})
	for timeout, status := range map[string]int{"1": http.StatusOK, "1s": http.StatusOK, "soon": http.StatusBadRequest} {
		if response, body := rawRequest(t, f, http.MethodPost, "/machines/"+id+"/restart?timeout="+timeout, ""); response.StatusCode != status {
			t.Errorf("timeout %s: %d %s", timeout, response.StatusCode, body)
		}
		m, _ := f.config.Machines.Get(id)
		if err := arrive(t.Context(), m, fly.MachineStateStarted); err != nil {
			t.Fatal(err)
		}
	}
}

// Fly's init runs one command after the other.
func TestExecsWaitForEachOther(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	id := launch(t, f, machine.Spec{})
	other := launch(t, f, machine.Spec{})
	began, ends := make(chan string, 3), make(chan struct{})
	idleExec = func(command []string) { began <- command[0]; <-ends }
	t.Cleanup(func() { idleExec = nil })
	answers := make(chan string, 3)
	exec := func(id, word string) {
		_, body := rawRequest(t, f, http.MethodPost, "/machines/"+id+"/exec", `{"command":["`+word+`"],"timeout":60}`)
		answers <- body
	}
	go exec(id, "first")
	if got := <-began; got != "first" {
		t.Fatalf("%s began", got)
	}
	go exec(id, "second")
	go exec(other, "elsewhere") // another machine has an init of its own
	if got := <-began; got != "elsewhere" {
		t.Errorf("%s began before the first had ended", got)
	}
	if response, body := rawRequest(t, f, http.MethodPost, "/machines/"+id+"/exec", `{"command":["third"],"timeout":1}`); response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("one whose time ends while it waits: %d %s", response.StatusCode, body)
	}
	close(ends)
	for range 3 {
		<-answers
	}
	if got := <-began; got != "second" {
		t.Errorf("%s began", got)
	}
}

func TestFaultsMeetTheirTargetOnly(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	one := launch(t, f, machine.Spec{State: fly.MachineStateStopped})
	other := launch(t, f, machine.Spec{State: fly.MachineStateStopped})
	status := func(path string) int {
		t.Helper()
		response, _ := rawRequest(t, f, http.MethodGet, path, "")
		return response.StatusCode
	}
	lift := f.config.Faults.Inject(fault.Target{Service: fault.API, Action: ActionGet, Subject: one}, 0, fault.Refuse(500, ""))
	f.config.Faults.Inject(fault.Target{Action: ActionList}, 2, fault.Refuse(429, ""))
	got := []int{
		status("/machines/" + one), status("/machines/" + other), status("/machines/" + one + "/metadata"), status("/machines/" + one),
		status("/machines"), status("/machines"), status("/machines"),
	}
	lift()
	got = append(got, status("/machines/"+one))
	f.config.Faults.Inject(fault.Target{}, 0, fault.Refuse(503, ""))
	got = append(got, status("/machines"))
	f.config.Faults.Lift()
	got = append(got, status("/machines"))
	want := []int{500, 200, 200, 500, 429, 429, 200, 200, 503, 200}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestHostThatIsLost(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	id := launch(t, f, machine.Spec{})
	restore, err := f.config.Machines.LoseHost(id)
	if err != nil {
		t.Fatal(err)
	}
	_, listed := rawRequest(t, f, http.MethodGet, "/machines", "")
	if !strings.Contains(listed, `"host_status":"unreachable"`) || !strings.Contains(listed, `"incomplete_config":{`) || strings.Contains(listed, `"config":{`) {
		t.Errorf("listed as %s", listed)
	}
	if response, body := rawRequest(t, f, http.MethodPost, "/machines/"+id+"/exec", `{"cmd":"true"}`); response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("exec: %d %s", response.StatusCode, body)
	}
	restore()
	if _, listed := rawRequest(t, f, http.MethodGet, "/machines", ""); !strings.Contains(listed, `"config":{`) {
		t.Errorf("listed as %s", listed)
	}
}

func TestListsThatLag(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	c := client(t, f, f.config.Tokens.Deploy)
	id := launch(t, f, machine.Spec{})
	list := func() (states []string) {
		t.Helper()
		all, err := c.List(t.Context(), "sample", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			states = append(states, m.ID+" "+m.State)
		}
		return states
	}
	catchUp := f.LagLists(time.Hour)
	if got := list(); len(got) > 0 {
		t.Errorf("an hour ago there was %v", got)
	}
	if m := machineNow(t, c, id); m.State != fly.MachineStateStarted {
		t.Errorf("asked for by its id it is %s", m.State)
	}
	catchUp()
	if got := list(); !slices.Equal(got, []string{id + " started"}) {
		t.Errorf("now there is %v", got)
	}
	m, _ := f.config.Machines.Get(id)
	running := time.Now()
	if err := c.Destroy(t.Context(), "sample", fly.RemoveMachineInput{ID: id, Kill: true}, ""); err != nil {
		t.Fatal(err)
	}
	if err := arrive(t.Context(), m, fly.MachineStateDestroyed); err != nil {
		t.Fatal(err)
	}
	if was := m.Before(running); was == nil || was.State != fly.MachineStateStarted {
		t.Errorf("before it was destroyed it was %+v", was)
	}
}

func TestUpdate(t *testing.T) {
	f := serve(t, Config{NoRateLimits: true})
	c := client(t, f, f.config.Tokens.Deploy)
	for _, state := range []string{fly.MachineStateStarted, fly.MachineStateStopped} {
		id := launch(t, f, machine.Spec{State: state})
		before := machineNow(t, c, id)
		config := *before.Config
		config.Env = map[string]string{"NEW": "1"}
		input := fly.LaunchMachineInput{ID: id, Config: &config, SkipLaunch: state == fly.MachineStateStopped}
		ttl := 60
		lease, err := c.AcquireLease(t.Context(), "sample", id, &ttl)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Update(t.Context(), "sample", input, ""); answerOf(err) != http.StatusConflict {
			t.Errorf("without the lease: %v", err)
		}
		updated, err := c.Update(t.Context(), "sample", input, lease.Data.Nonce)
		if err != nil || updated.ID != id || updated.InstanceID == before.InstanceID {
			t.Fatalf("%+v, %v", updated, err)
		}
		if response, body := rawRequest(t, f, http.MethodGet, "/machines/"+id+"/wait?state="+state+"&instance_id="+updated.InstanceID, ""); response.StatusCode != http.StatusOK {
			t.Errorf("wait: %d %s", response.StatusCode, body)
		}
		if now := machineNow(t, c, id); now.State != state || now.InstanceID != updated.InstanceID || now.Config.Env["NEW"] != "1" {
			t.Errorf("%+v", now)
		}
		if response, body := rawRequest(t, f, http.MethodPost, "/machines/"+id, `{"config":{}}`); response.StatusCode != http.StatusConflict {
			t.Errorf("%d %s", response.StatusCode, body)
		}
	}
	for _, path := range []string{"/machines/x/unknown", "/unknown"} {
		if response, body := rawRequest(t, f, http.MethodGet, path, ""); response.StatusCode != http.StatusNotFound || body != `{"error":"not found"}` {
			t.Errorf("%s: %d %s", path, response.StatusCode, body)
		}
	}
}
