package test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// What somebody has written into console.toml holds in the binary, what cannot be is told, and a filter that one console keeps is there
// for the next one.
func TestConsoleToml(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }))
	defer api.Close()
	home := t.TempDir()
	file := filepath.Join(home, "flydeploy", "console.toml")
	open := func(toml string) *pane {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
			t.Fatal(err)
		}
		return newPane(t, 120, 30, home, []string{"XDG_CONFIG_HOME=" + home, "XDG_CACHE_HOME=" + home, "FLY_API_TOKEN=x", "FLY_FLAPS_BASE_URL=" + api.URL}, binary(t), "--app", "counter")
	}
	quit := func(p *pane, keys ...string) {
		p.keys(keys...)
		if code, text := p.exited(); code != 0 {
			t.Errorf("exit %d\n%s", code, text)
		}
	}

	p := open("skin = 'high-contrast'\n[keys]\nrecord = 'w'\nquit = 'Z'\n")
	p.until("w record")
	p.keys("/", "a", "m", "s", "Enter")
	p.until("/ ams")
	p.keys(":", "view save Ams", "Enter")
	p.until("Kept / ams as Ams")
	p.keys(":")
	p.until("Commands")
	p.keys("settings", "Enter")
	p.until("skin +high-contrast \\(console.toml\\)")
	p.keys("Enter") // on Close
	p.until("w record")
	quit(p, "Z")

	p = open("skin = 'high-contrast'\n[keys]\nrecord = 'q'\n")
	p.until("console.toml:3:")
	p.keys("Enter")
	p.until("r record")
	p.keys(":", "view ams")
	p.until("▸ view Ams")
	p.keys("Enter")
	p.until("/ ams")
	quit(p, "q")

	p = open("accessible = true\n")
	p.until("counter, reading the fleet")
	p.until("Choice \\(1 to \\d+\\):")
	p.keys("views", "Enter")
	p.until("view 1: Ams, ams")
	p.keys("1", "Enter")
	p.until("0 of 0 machines shown, by the filter ams")
	quit(p, "quit", "Enter")
}
