package test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A shell and an IEx are opened by the fly that is on PATH, with the console's token; ctrl-c there is theirs, and the console comes back.
func TestVisits(t *testing.T) {
	t.Parallel()
	const machine = "148e00026c1eef"
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/exec") {
			_, _ = w.Write([]byte(`[{"id":"` + machine + `","name":"long-sun-88","state":"started","region":"ams","config":{"metadata":{"fly_process_group":"app"}}}]`))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"exit_code": 0, "stdout": strings.Join([]string{
			"FLYDEPLOY1 begin", "FLYDEPLOY1 vm 612 5678", "RELEASE_ROOT=/app", "RELEASE_NAME=counter", "RELEASE_NODE=counter@fly", "RELEASE_VSN=0.1.0",
			"RELEASE_DISTRIBUTION=name", "FLY_IMAGE_REF=registry.fly.io/counter:deployment-01K94R", "USER=65534",
			"FOLDER=drwxr-xr-x 6 65534 0 4096 Nov 29 10:00 /app/", "OTP_APP=counter", "FLYDEPLOY1 end\n",
		}, "\n")})
	}))
	defer api.Close()
	home := t.TempDir()
	const fake = `#!/bin/sh
trap 'exit 0' INT
for a in "$@"; do printf '<%s>' "$a"; done
echo " with <$FLY_ACCESS_TOKEN> <$FLY_API_TOKEN>"
while read -r line; do echo "said $line"; [ "$line" != fail ] || break; done
echo 'Error: get app: unauthorized' >&2
exit 1
`
	if err := os.WriteFile(filepath.Join(home, "fly"), []byte(fake), 0o700); err != nil {
		t.Fatal(err)
	}
	env := []string{"XDG_CONFIG_HOME=" + home, "XDG_CACHE_HOME=" + home, "FLY_API_TOKEN=fake", "FLY_FLAPS_BASE_URL=" + api.URL, "FLYCTL="}
	p := newPane(t, 120, 30, home, append(env, "PATH="+home+":"+os.Getenv("PATH")), binary(t), "--app", "counter")
	p.until("look again")
	p.keys("$")
	p.until("<ssh><console><-a><counter><--machine><" + machine + "> +with <fake> <>")
	p.keys("ls", "Enter")
	p.until("said ls")
	p.keys("C-c")
	p.until("A shell on " + machine + " has ended")
	p.until("long-sun-88")
	p.keys(">")
	p.until("<--pty><-C></app/bin/counter remote>")
	p.keys("fail", "Enter")
	p.until("ended with exit status 1: Error: get app:") // the rest is in the next row
	p.until("fly tokens create")
	p.keys("Enter")
	p.until("look again")
	p.keys("q")
	if code, text := p.exited(); code != 0 {
		t.Errorf("exit %d\n%s", code, text)
	}

	p = newPane(t, 120, 30, home, append(env, "PATH="+home+":"+os.Getenv("PATH")), binary(t), "--app", "counter", "--accessible")
	p.until("Shell on a machine")
	p.keys("shell", "Enter")
	p.until("Number of the machine")
	p.keys("1", "Enter")
	p.until("<ssh><console><-a><counter><--machine><" + machine + "> +with <fake> <>")
	p.keys("ls", "Enter")
	p.until("said ls")
	p.keys("C-c")
	p.until("A shell on " + machine + " has ended")
	p.keys("iex", "Enter")
	p.until("Number of the machine")
	p.keys("1", "Enter")
	p.until("<--pty><-C></app/bin/counter remote>")
	p.keys("fail", "Enter")
	p.until("fly tokens create")
	p.keys("quit", "Enter")
	if code, text := p.exited(); code != 0 {
		t.Errorf("exit %d\n%s", code, text)
	}

	p = newPane(t, 120, 30, home, append(env, "PATH=/nowhere"), binary(t), "--app", "counter")
	p.until("look again")
	p.keys("$")
	p.until("neither `fly` nor `flyctl` is installed")
	p.until("Install flyctl")
	p.keys("Enter")
	p.until("look again")
	p.keys("q")
	if code, text := p.exited(); code != 0 {
		t.Errorf("exit %d\n%s", code, text)
	}

	p = newPane(t, 120, 30, home, env, binary(t), "--app", "counter", "--read-only")
	p.until("read-only")
	p.until("long-sun-88")
	if screen := p.screen(); strings.Contains(screen, "IEx") {
		t.Errorf("a read-only console offers a shell:\n%s", screen)
	}
}
