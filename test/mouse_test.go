package test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The mouse by a terminal's escapes, a machine's logs, and another app of the token, in a terminal.
func TestTheMouseLogsAndAppsInATerminal(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/machines"):
			_, _ = w.Write([]byte(`[{"id":"148e00016c0000","name":"wispy-frost-12","state":"started","region":"ams"},
				{"id":"148e00026c1eef","name":"long-sun-88","state":"stopped","region":"ams"}]`))
		case strings.HasSuffix(r.URL.Path, "/logs"):
			_, _ = w.Write([]byte(`{"data":[{"attributes":{"timestamp":"2026-11-23T12:00:00Z","instance":"148e00016c0000","level":"error",
				"message":"the gate was shut, and a line that is so long that no terminal of a usual width holds it, to its end"}}],"meta":{"next_token":"1"}}`))
		case strings.HasSuffix(r.URL.Path, "/graphql"):
			_, _ = w.Write([]byte(`{"data":{"apps":{"nodes":[{"name":"counter","status":"deployed","organization":{"slug":"acme"}},
				{"name":"shop","status":"suspended","organization":{"slug":"acme"}}]}}}`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer api.Close()
	home := t.TempDir()
	p := newPane(t, 80, 24, home, []string{"XDG_CONFIG_HOME=" + home, "XDG_CACHE_HOME=" + home, "FLY_API_TOKEN=fake",
		"FLY_FLAPS_BASE_URL=" + api.URL, "FLY_API_BASE_URL=" + api.URL}, binary(t), "--app", "counter")
	mouse := func(escape string) { p.keys("-l", "\x1b["+escape) }
	p.until("▸ +○ stopped +148e00026c1eef") // long-sun-88 comes first
	mouse("<0;20;7M")
	mouse("<0;20;7m")
	p.until("▸ +● started +148e00016c0000")
	mouse("<64;20;7M") // the wheel, upwards
	p.until("▸ +○ stopped +148e00026c1eef")
	mouse("<65;20;7M")
	p.until("▸ +● started +148e00016c0000")

	p.keys("l")
	p.until("logs of 148e00016c0000")
	p.until("✗ the gate was shut.*…")
	p.keys("Right", "Right", "Right")
	p.until("← \\d+ cells")
	p.until("to its end")
	p.keys("f")
	p.until("paused")
	p.keys("Escape")
	p.until("look again|d deploy all|2 machines")

	p.keys(":")
	p.until("╭─ Commands")
	p.keys("-l", "app")
	p.keys("Enter")
	p.until("shop +acme")
	p.keys("Escape")
	p.until("148e00016c0000")
	p.keys("q")
	if code, text := p.exited(); code != 0 {
		t.Errorf("exit %d\n%s", code, text)
	}
}
