package local

import (
	"io"
	"net/http"
	"strings"
	"testing"

	fly "github.com/superfly/fly-go"
)

// rawRequest is a request to the app as no client library makes it, with the deploy token.
func rawRequest(t *testing.T, f *Fly, method, path, body string) (*http.Response, string) {
	t.Helper()
	return rawRequestAs(t, f, "Bearer "+f.Token(), method, "/v1/apps/sample"+path, body)
}

func rawRequestAs(t *testing.T, f *Fly, authorization, method, path, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, f.APIURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

func TestTokens(t *testing.T) {
	f := startProcesses(t)
	id := launchShell(t, f, MachineSpec{})
	const unknown = `{"error":"Authenticate: token validation error"}`
	machine := "/v1/apps/sample/machines/" + id
	tests := []struct {
		authorization, method, path, body string
		status                            int
		says                              string
	}{
		{"", "GET", "/v1/apps/sample/machines", "", 401, unknown},
		{"Bearer wrong", "GET", "/v1/apps/sample/machines", "", 401, unknown},
		{"Basic " + f.Token(), "GET", "/v1/apps/sample/machines", "", 401, unknown},
		{"FlyV1 " + f.Token(), "GET", "/v1/apps/sample/machines", "", 200, id},
		{"Bearer " + f.Token(), "GET", "/v1/apps/other/machines", "", 404, "app not found"},
		{"Bearer " + f.Token(), "GET", "/v1/apps/sample/machines/0", "", 404, "machine not found"},
		{"Bearer " + f.ExecToken(), "GET", machine, "", 200, id},
		{"Bearer " + f.ExecToken(), "GET", machine + "/wait", "", 200, "ok"},
		{"Bearer " + f.ExecToken(), "POST", machine + "/exec", `{"cmd":"echo 1"}`, 200, "1"},
		{"Bearer " + f.ExecToken(), "POST", "/v1/apps/sample/machines", `{}`, 403, "unauthorized"},
		{"Bearer " + f.ExecToken(), "POST", machine + "/stop", "", 403, "unauthorized"},
		{"Bearer " + f.ExecToken(), "POST", machine + "/lease", "", 403, "unauthorized"},
		{"Bearer " + f.ExecToken(), "POST", machine + "/metadata/a", `{"value":"1"}`, 403, "unauthorized"},
		{"Bearer " + f.ExecToken(), "DELETE", machine + "?force=true", "", 403, "unauthorized"},
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
	f := startFly(t, Options{Isolation: Processes})
	one := launchShell(t, f, MachineSpec{State: fly.MachineStateStopped})
	other := launchShell(t, f, MachineSpec{State: fly.MachineStateStopped})
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
}

func TestMetadata(t *testing.T) {
	f := startProcesses(t)
	c := client(t, f, f.Token())
	id := launchShell(t, f, MachineSpec{State: fly.MachineStateStopped})
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
	f := startProcesses(t)
	c := client(t, f, f.Token())
	id := launchShell(t, f, MachineSpec{})
	if _, err := c.FindLease(t.Context(), "sample", id); statusOf(err) != http.StatusNotFound {
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
	if err := c.Stop(t.Context(), "sample", fly.StopMachineInput{ID: id}, "other"); statusOf(err) != http.StatusConflict {
		t.Errorf("stop without the lease: %v", err)
	}
	longer := 600
	if renewed, err := c.RefreshLease(t.Context(), "sample", id, &longer, nonce); err != nil || renewed.Data.Nonce != nonce || renewed.Data.ExpiresAt <= lease.Data.ExpiresAt {
		t.Errorf("refresh: %+v, %v", renewed, err)
	}
	if err := c.ReleaseLease(t.Context(), "sample", id, "other"); statusOf(err) != http.StatusConflict {
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

func TestCreateRefusals(t *testing.T) {
	f := startProcesses(t)
	for body, says := range map[string]string{
		`{}`: "config.image is required",
		`{"config":{"image":"registry.fly.io/sample:none"}}`:                "MANIFEST_UNKNOWN",
		`{"config":{"image":"docker.io/library/redis:7"}}`:                  "only images of registry.fly.io are here",
		`{"config":{"image":"registry.fly.io/sample:x","env":{"A":["b"]}}}`: "invalid_argument",
	} {
		response, answer := rawRequest(t, f, http.MethodPost, "/machines", body)
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(answer, says) {
			t.Errorf("create %s: %d %s, want 400 and %q", body, response.StatusCode, answer, says)
		}
	}
	leased, body := rawRequest(t, f, http.MethodPost, "/machines", `{"skip_launch":true,"lease_ttl":60,"config":{"image":"`+pushShell(t, f)+`"}}`)
	if leased.StatusCode != http.StatusOK || !strings.Contains(body, `"nonce":"`) || !strings.Contains(body, `"state":"created"`) {
		t.Errorf("create with a lease: %d %s", leased.StatusCode, body)
	}
}

func TestGetApp(t *testing.T) {
	f := startFly(t, Options{Isolation: Processes, Org: "acme", NoRateLimits: true})
	app, err := client(t, f, f.Token()).GetApp(t.Context(), "sample")
	if err != nil || app.Name != "sample" || app.Organization.Slug != "acme" {
		t.Errorf("app: %+v, %v", app, err)
	}
}
