package fly_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

// The lines are read as flyctl reads them, and what the next request asks for is what the last answer named.
func TestLogsAreReadAsFlyctlDoes(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+"?"+r.URL.RawQuery+" "+r.Header.Get("Authorization"))
		switch r.URL.Query().Get("next_token") {
		case "":
			fmt.Fprint(w, `{"data":[{"id":"1","type":"log","attributes":{"timestamp":"2026-11-23T12:00:00.25Z","message":"one","level":"error","instance":"m1","region":"fra","meta":{}}},
				{"id":"2","type":"log","attributes":{"timestamp":"bad","message":"two","level":"info","meta":{"instance":"m2","region":"ams"}}}],"meta":{"next_token":"1764"}}`)
		case "1764":
			fmt.Fprint(w, `{"data":[],"meta":{}}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"no"}`)
		}
	}))
	defer server.Close()
	c, err := fly.New(fly.Options{App: "counter", Token: "fo1_secret", PlatformURL: server.URL, UserAgent: "flydeploy/test"})
	if err != nil {
		t.Fatal(err)
	}
	lines, next, err := c.Lines(t.Context(), "", "")
	want := []engine.MachineLine{
		{At: time.Date(2026, 11, 23, 12, 0, 0, 250_000_000, time.UTC), Machine: "m1", Region: "fra", Level: "error", Text: "one"},
		{Machine: "m2", Region: "ams", Level: "info", Text: "two"},
	}
	if err != nil || next != "1764" || !slices.Equal(lines, want) {
		t.Errorf("%+v, %q, %v", lines, next, err)
	}
	if lines, next, err = c.Lines(t.Context(), "m1", next); err != nil || len(lines) > 0 || next != "1764" {
		t.Errorf("%+v, %q, %v", lines, next, err)
	}
	_, next, err = c.Lines(t.Context(), "", "5")
	if err == nil || next != "5" || strings.Contains(err.Error(), "fo1_secret") {
		t.Errorf("%q, %v", next, err)
	}
	if want := []string{
		"/api/v1/apps/counter/logs?next_token= Bearer fo1_secret", "/api/v1/apps/counter/logs?instance=m1&next_token=1764 Bearer fo1_secret",
		"/api/v1/apps/counter/logs?next_token=5 Bearer fo1_secret",
	}; !slices.Equal(asked, want) {
		t.Errorf("asked %q", asked)
	}
}

func TestLogsOnTheLocalFly(t *testing.T) {
	onLocalFly(t, func(t *testing.T, f *local.Fly, c *fly.Client) {
		image := pushRelease(t, f, "deployment-1")
		print := func(words string) string {
			id, err := f.Launch(t.Context(), local.MachineSpec{Image: image, Region: "fra", NoService: true, Command: []string{"/bin/sh", "-c", "echo " + words + "; exec sleep 600"}})
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		var seen []engine.MachineLine
		token := ""
		until := func(machine, text string) engine.MachineLine {
			t.Helper()
			for deadline := time.Now().Add(time.Minute); ; {
				lines, next, err := c.Lines(t.Context(), "", token)
				if err != nil {
					t.Fatal(err)
				}
				seen, token = append(seen, lines...), next
				if i := slices.IndexFunc(seen, func(l engine.MachineLine) bool { return l.Machine == machine && l.Text == text }); i >= 0 {
					return seen[i]
				}
				if time.Now().After(deadline) {
					t.Fatalf("no line %q of %s in %+v", text, machine, seen)
				}
			}
		}
		one := print("hello from one")
		if l := until(one, "hello from one"); l.Region != "fra" || time.Since(l.At) > time.Minute || time.Until(l.At) > time.Minute {
			t.Errorf("%+v", l)
		}
		two := print("'[error] two'")
		until(two, "[error] two")
		if n := len(slices.DeleteFunc(slices.Clone(seen), func(l engine.MachineLine) bool { return l.Text != "hello from one" })); n != 1 {
			t.Errorf("the line came %d times", n)
		}
		lines, _, err := c.Lines(t.Context(), two, "")
		if err != nil || len(lines) == 0 || slices.ContainsFunc(lines, func(l engine.MachineLine) bool { return l.Machine != two }) {
			t.Errorf("of one machine: %+v, %v", lines, err)
		}
	})
}
