package deploy_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/examples/counter/countertest"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
)

// What must not appear anywhere, whatever goes wrong: tokens, keys, presigned URLs, the cookie.
type secrets map[string]string

func (w *faultWorld) secrets() secrets {
	w.t.Helper()
	info := w.local.S3()
	cookie, err := os.ReadFile(filepath.Join(countertest.Release(w.t, 1), "releases", "COOKIE"))
	if err != nil {
		w.t.Fatal(err)
	}
	return secrets{
		"token": w.local.Token(), "exec token": w.local.ExecToken(), "access key": info.AccessKeyID, "secret key": info.SecretAccessKey,
		"cookie": strings.TrimSpace(string(cookie)),
	}
}

// presigned is a signature that is not redacted.
var presigned = regexp.MustCompile(`X-Amz-(?:Signature|Credential)(?:=|%3D)[0-9A-Za-z]`)

func (s secrets) expectNoneIn(t testing.TB, where, text string) {
	t.Helper()
	s.expectNotIn(t, where, text)
	if presigned.MatchString(text) {
		t.Errorf("%s shows a presigned URL: %s", where, presigned.FindString(text))
	}
}

func (s secrets) expectNotIn(t testing.TB, where, text string) {
	t.Helper()
	for name, secret := range s {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the %s", where, name)
		}
	}
}

// observe runs a deploy and gives its events also as they are recorded.
func (w *faultWorld) observe(s engine.Settings) (p *engine.Progress, r engine.Result, events string) {
	w.t.Helper()
	ports := w.ports(2)
	ports.Agents = nil // what was kept would not be compiled and uploaded there
	d := deploy.Start(w.t.Context(), s, ports)
	p = engine.NewProgress()
	var lines strings.Builder
	encoder := json.NewEncoder(&lines)
	for {
		batch, err := d.Next(w.t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range batch {
			w.must(encoder.Encode(e))
			p.Apply(e)
		}
	}
	r = d.Result()
	w.must(encoder.Encode(r))
	return p, r, lines.String()
}

// watchProcesses looks at the command lines of everything that runs on this computer, in machines as well, until stop,
// which gives them. A process begins with that of the one that started it, so that each is looked at several times; after that it
// keeps its own.
func watchProcesses(ctx context.Context) (stop func() (lines []string)) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	seen := map[string]bool{}
	looks := map[string]int{} // by process
	watching.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			running := map[string]int{}
			found, _ := os.ReadDir("/proc")
			for _, e := range found {
				id := e.Name()
				if id[0] < '0' || id[0] > '9' {
					continue
				}
				if running[id] = looks[id] + 1; running[id] > 20 {
					continue
				}
				line, _ := os.ReadFile("/proc/" + id + "/cmdline") // it may have ended
				seen[string(line)] = true
			}
			looks = running
		}
	})
	return func() []string {
		cancel()
		watching.Wait()
		return slices.Collect(maps.Keys(seen))
	}
}

var encoded = regexp.MustCompile(`[A-Za-z0-9+/]{40,}={0,2}`)

// decoded is what base64, and zlib below it, hide in a text.
func decoded(text string) (plain string) {
	for _, word := range encoded.FindAllString(text, -1) {
		b, err := base64.StdEncoding.DecodeString(word)
		if err != nil {
			continue
		}
		plain += string(b)
		if z, err := zlib.NewReader(bytes.NewReader(b)); err == nil {
			inflated, _ := io.ReadAll(z) // as far as it goes
			plain += string(inflated)
		}
	}
	return plain
}

// expectNoneInProcesses: of all command lines only those of Erlang's own programs hold the cookie, as a release's script
// starts them, the application's VM above all. A presigned URL holds the access key; one with another key is no business of
// ours.
func (s secrets) expectNoneInProcesses(t testing.TB, lines []string) {
	t.Helper()
	bare := maps.Clone(s)
	delete(bare, "cookie")
	for _, line := range lines {
		line += decoded(line)
		if strings.Contains(line, "-setcookie\x00") || strings.Contains(line, "--cookie\x00") {
			bare.expectNotIn(t, "the process list", line)
		} else {
			s.expectNotIn(t, "the process list", line)
		}
	}
}

func TestWhatBase64HidesIsFound(t *testing.T) {
	const url = "https://bucket/key?X-Amz-Signature=0123abcd&and=more"
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	if _, err := z.Write([]byte(url)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{url, packed.String()} {
		line := "rpc\x00source = \"x\"; order = \"" + base64.StdEncoding.EncodeToString([]byte(hidden)) + "\""
		if presigned.MatchString(line) || !presigned.MatchString(decoded(line)) {
			t.Errorf("%q gives %q", line, decoded(line))
		}
	}
}
