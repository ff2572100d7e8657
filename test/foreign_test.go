package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"

	"flydeploy/engine"
)

// foreign is what others could write to steer a terminal, turn the direction of writing, hide, or forge a line of ours.
const foreign = "x\x1b]52;c;eA==\a\x1b]0;t\x1b\\\x1b[31m\u009b31m\u009d0;t\u009c\u0085FAKE\u202e\u2066\u200b\U000e0041\u2028FAKE\rFAKE\nFAKE"

// filled puts foreign text into every string of v, a pointer, down to depth 5.
func filled[T any](v *T) *T {
	fill(reflect.ValueOf(v).Elem(), 5)
	return v
}

func fill(v reflect.Value, depth int) {
	switch {
	case depth == 0 || !v.CanSet():
	case v.Kind() == reflect.String:
		v.SetString(foreign)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth-1)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth-1)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth-1)
	}
}

// foreignBucket is an app's bucket in which every text is foreign. id is of a recorded deploy.
func foreignBucket(t *testing.T, id string) *httptest.Server {
	t.Helper()
	bucket := s3mem.New()
	if err := bucket.CreateBucket(t.Context(), "bucket"); err != nil {
		t.Fatal(err)
	}
	put := func(key string, documents ...any) {
		t.Helper()
		var body strings.Builder
		for _, d := range documents {
			if err := json.NewEncoder(&body).Encode(d); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := bucket.PutObject(t.Context(), "bucket", "releases/counter-"+key, nil, strings.NewReader(body.String()), int64(body.Len())); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	put("deploy.lock", map[string]any{
		"locked_by": foreign, "host": foreign, "deployment_id": foreign, "locked_at": now, "expires_at": now.Add(time.Hour),
	})
	put("current.json", engine.Metadata{
		ImageRef: foreign, HotUpgrade: filled(&engine.HotUpgrade{}), MachineUpgrades: map[string]engine.HotUpgrade{foreign: *filled(&engine.HotUpgrade{})},
	})
	put("results/"+id+"/deploy.json", filled(&engine.Past{}))
	var events []any
	for i, phase := range append([]engine.Phase{foreign}, engine.FleetPhases...) {
		e := filled(&engine.Event{})
		e.V, e.Seq, e.At, e.Phase = engine.EventVersion, int64(2*i+1), now, phase
		e.Log, e.Machine = "", ""
		log := *e
		log.Seq, log.Log = e.Seq+1, foreign
		events = append(events, e, log)
	}
	m := filled(&engine.Event{})
	m.V, m.Seq, m.At, m.Phase, m.Log, m.Attempt = engine.EventVersion, int64(len(events)+1), now, engine.PhaseCommit, "", 1
	r := filled(&engine.Result{})
	r.V, r.Type = engine.EventVersion, "result"
	put("results/"+id+"/events.ndjson", append(events, m, r)...)
	server := httptest.NewServer(gofakes3.New(bucket).Server())
	t.Cleanup(server.Close)
	return server
}

// foreignAPI is a Machines API of two machines, of which one runs and refuses every command.
func foreignAPI(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": foreign})
			return
		}
		var machines []map[string]any
		for id, state := range map[string]string{"a1": "started", "b2": "stopped"} {
			machines = append(machines, map[string]any{
				"id": id, "name": foreign, "state": state, "region": foreign, "instance_id": foreign,
				"config": map[string]any{"image": "registry.fly.io/counter:" + foreign, "metadata": map[string]string{"fly_process_group": foreign}},
				"checks": []map[string]string{{"name": foreign, "status": "passing", "output": foreign}},
			})
		}
		_ = json.NewEncoder(w).Encode(machines)
	}))
	t.Cleanup(server.Close)
	return server
}

// Whoever may write to the bucket or name a machine steers no terminal, and forges no line of any command's output.
func TestNothingThatOthersWroteGetsIntoAnOutput(t *testing.T) {
	t.Parallel()
	const id = "01KB7Y2M3Q4R5S6T7V8W9XAYBZ"
	s3, api := foreignBucket(t, id), foreignAPI(t)
	env := []string{
		"FLY_API_TOKEN=x", "FLY_FLAPS_BASE_URL=" + api.URL, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_BUCKET=bucket",
		"AWS_REGION=auto", "AWS_ENDPOINT_URL_S3=" + s3.URL, "FLYCTL=" + script(t, "printf '%b' '"+strings.ReplaceAll(fmt.Sprintf("%q", "v1 \x1b[31m\u009b31m\u202e"), `"`, "")+"'"),
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"status"}, 0, "deploy lock: held by x"},
		{[]string{"history"}, 0, id},
		{[]string{"lock", "show"}, 0, "held"},
		{[]string{"doctor"}, 1, "lock"},
		{[]string{"replay", id, "--speed", "0"}, 0, "commit"},
		{[]string{"watch", id}, 1, "commit"},
		{[]string{"withdraw", "--yes"}, 4, "x"},
		{[]string{"plan", "--skip-build", "--image", "registry.fly.io/counter:v1"}, 1, "x"},
	} {
		for _, format := range []string{"plain", "json"} {
			t.Run(c.args[0]+" "+format, func(t *testing.T) {
				t.Parallel()
				args := append(append([]string{}, c.args...), "--output", format, "--app", "counter", "--otp-app", "counter", "--storage", "env")
				out, errs, code := run(t, t.TempDir(), env, args...)
				if code != c.code || !strings.Contains(strings.ToLower(out+errs), c.says) && format == "plain" && c.says != id || c.says == id && !strings.Contains(out, id) {
					t.Errorf("exit %d, want %d with %q\n%q\n%q", code, c.code, c.says, out, errs)
				}
				expectOurs(t, errs)
				if format == "plain" {
					expectOurs(t, out)
					return
				}
				for line := range strings.Lines(out) {
					expectOurs(t, line)
					var v any
					if err := json.Unmarshal([]byte(line), &v); err != nil {
						t.Errorf("not JSON: %q: %v", line, err)
					}
					expectStringsOurs(t, v)
				}
			})
		}
	}
}

// expectOurs looks for what steers a terminal, and for lines that others began.
func expectOurs(t *testing.T, text string) {
	t.Helper()
	expectHarmless(t, text)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "FAKE") {
			t.Errorf("a line is forged:\n%q", text)
			return
		}
	}
}

func expectHarmless(t *testing.T, text string) {
	t.Helper()
	for _, c := range text {
		if c != '\n' && (unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("%U in\n%q", c, text)
			return
		}
	}
}

func expectStringsOurs(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case string:
		expectHarmless(t, v)
	case []any:
		for _, e := range v {
			expectStringsOurs(t, e)
		}
	case map[string]any:
		for key, e := range v {
			expectHarmless(t, key)
			expectStringsOurs(t, e)
		}
	}
}
