package fly_test

import (
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly/local"
)

func fixture(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestMachinesAreMapped(t *testing.T) {
	t.Parallel()
	c := serve(t, map[string]http.HandlerFunc{"GET ": reply(200, fixture(t, "machines.json"))})
	got, err := c.Machines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const image = "registry.fly.io/counter:deployment-01K93Q"
	updated := time.Date(2025, 11, 5, 10, 30, 1, 0, time.UTC)
	want := []engine.Machine{
		{
			ID: "148ed193b95489", Name: "blue-sky-1", Region: "ams", State: "started", ProcessGroup: "app", Image: image,
			Digest: "sha256:aa", InstanceID: "01K93QINSTANCE", HostStatus: "ok", ChecksPassed: 1, ChecksTotal: 2, ChecksFailing: []string{"alive"}, UpdatedAt: updated,
		},
		{
			ID: "17811953c92e18", Region: "fra", State: "stopped", ProcessGroup: "worker", Image: image,
			HostStatus: "unreachable", UpdatedAt: updated,
		},
		{
			ID: "release", State: "started", ProcessGroup: "fly_app_release_command",
			LeftOut: "it runs a release command for flyctl",
		},
		{ID: "old-release", State: "stopped", ProcessGroup: "release_command", LeftOut: "it runs a release command for flyctl"},
		{
			ID: "test", State: "started", ProcessGroup: "fly_app_test_machine_command",
			LeftOut: "it runs a test command for flyctl",
		},
		{ID: "console", State: "started", ProcessGroup: "fly_app_console", LeftOut: "it is a machine of `fly console`"},
		{
			ID: "later", State: "started", ProcessGroup: "fly_app_something",
			LeftOut: "its process group fly_app_something is reserved for flyctl",
		},
		{
			ID: "temporary", State: "started", ProcessGroup: "fly_app_console", Temporary: "01UPGRADE",
			LeftOut: "the temporary machine of deploy 01UPGRADE",
		},
		{ID: "bare", State: "created"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d machines, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("got\n%+v, want\n%+v", got[i], want[i])
		}
	}
}

func TestListIsRepeatedWhileTheAPIStumbles(t *testing.T) {
	t.Parallel()
	handler, calls := inTurn(reply(503, ""), cut, reply(502, "<html>"), reply(200, `[{"id":"a","state":"started"}]`))
	c := serve(t, map[string]http.HandlerFunc{"GET ": handler})
	got, err := c.Machines(t.Context())
	if err != nil || len(got) != 1 || calls.total() != 4 {
		t.Errorf("%+v after %d calls: %v", got, calls.total(), err)
	}
}

func TestListIsNotRepeatedAfterARefusal(t *testing.T) {
	t.Parallel()
	for status, problem := range map[int]string{401: "token_refused", 403: "token_too_weak", 404: "no_app", 422: "api_refused"} {
		handler, calls := inTurn(reply(status, `{"error":"no"}`))
		_, err := serve(t, map[string]http.HandlerFunc{"GET ": handler}).Machines(t.Context())
		wantProblem(t, err, problem)
		want := 1
		if status == http.StatusForbidden {
			want = 2 // the second time without leases
		}
		if calls.total() != want {
			t.Errorf("%d: %d calls", status, calls.total())
		}
	}
}

func TestLeasesAndCordonsAreListed(t *testing.T) {
	t.Parallel()
	const list = `[{"id":"a","state":"started","cordoned":true},{"id":"c","state":"started","lease":null},
{"id":"b","state":"started","lease":{"owner":"ann@example.com\u001b[2J","description":"fly deploy","expires_at":1764412800,"version":"01K9","nonce":""}}]`
	for name, leases := range map[string]http.HandlerFunc{"known": nil, "refused": reply(400, `{"error":"unknown parameter"}`), "forbidden": reply(403, `{"error":"unauthorized"}`)} {
		c := serve(t, map[string]http.HandlerFunc{"GET ": func(w http.ResponseWriter, r *http.Request) {
			if leases != nil && r.URL.Query().Get("include_leases") == "true" {
				leases(w, r)
				return
			}
			reply(200, list)(w, r)
		}})
		got, err := c.Machines(t.Context())
		if err != nil || len(got) != 3 {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		if !got[0].Cordoned || got[1].Cordoned || got[0].Lease.Held() || got[1].Lease.Held() || got[0].Caution() != "cordoned" || got[1].Caution() != "" {
			t.Errorf("%s: %+v", name, got)
		}
		want := engine.Lease{Owner: "ann@example.com", Description: "fly deploy", Until: time.Date(2025, 11, 29, 10, 40, 0, 0, time.UTC)}
		if got[2].Lease != want || got[2].Caution() != "leased by ann@example.com (fly deploy)" {
			t.Errorf("%s: %+v", name, got[2].Lease)
		}
	}
}

func TestLeasesOnTheLocalFly(t *testing.T) {
	t.Parallel()
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: local.Processes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	id, err := f.Launch(t.Context(), local.MachineSpec{Image: pushRelease(t, f, "deployment-1"), NoService: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		path, body string
		status     int
	}{
		{"/cordon", "", http.StatusOK},
		{"/lease", `{"ttl":30,"description":"fly deploy"}`, http.StatusCreated},
		{"/uncordon", "", http.StatusConflict}, // only who holds the lease may
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.APIURL()+"/v1/apps/counter/machines/"+id+step.path, strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+f.Token())
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != step.status {
			t.Errorf("%s: %s", step.path, response.Status)
		}
	}
	machines, err := localClient(t, f, f.ExecToken()).Machines(t.Context())
	if err != nil || len(machines) != 1 || machines[0].Lease.Holder() != "local@personal (fly deploy)" || !machines[0].Cordoned {
		t.Errorf("%+v, %v", machines, err)
	}
}

func TestDisksThatStayAreListed(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]bool{
		`{"rootfs":{"persist":"always"}}`: true, `{"rootfs":{"persist":"restart"}}`: true, `{"guest":{"persist_rootfs":"always"}}`: true,
		`{"rootfs":{"persist":"never"}}`: false, `{"guest":{"cpus":1}}`: false, `{}`: false, `null`: false,
	} {
		c := serve(t, map[string]http.HandlerFunc{"GET ": reply(200, `[{"id":"a","state":"started","config":`+config+`}]`)})
		if got, err := c.Machines(t.Context()); err != nil || len(got) != 1 || got[0].KeepsDisk != want {
			t.Errorf("%s: %+v, %v", config, got, err)
		}
	}
}

// A standby is stopped until the host of another machine fails.
func TestStandbysAreTold(t *testing.T) {
	t.Parallel()
	c := serve(t, map[string]http.HandlerFunc{"GET ": reply(200, `[{"id":"a","state":"started","config":{}},{"id":"b","state":"stopped","config":{"standbys":["a","c"]}}]`)})
	got, err := c.Machines(t.Context())
	if err != nil || len(got) != 2 || got[0].StandbyFor != "" || got[1].StandbyFor != "a, c" {
		t.Fatalf("%+v, %v", got, err)
	}
	if why := engine.WhyLeftOut(got[1]); !strings.HasPrefix(why, "stopped, as the standby for a, c:") {
		t.Errorf("it is left out since %q", why)
	}
}
