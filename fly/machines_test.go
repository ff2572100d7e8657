package fly_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"flydeploy/engine"
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
			Digest: "sha256:aa", InstanceID: "01K93QINSTANCE", HostStatus: "ok", ChecksPassed: 1, ChecksTotal: 2, UpdatedAt: updated,
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
		if got[i] != want[i] {
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
		if calls.total() != 1 {
			t.Errorf("%d: %d calls", status, calls.total())
		}
	}
}
