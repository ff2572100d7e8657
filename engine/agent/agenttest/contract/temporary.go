package contract

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// Temporary is a temporary machine: a release on its disk, and no VM. It reaches a bucket.
type Temporary interface {
	Exec(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error)
	// Release gives the root of its release and the OTP application.
	Release() (root, otpApp string)
	// Put puts an object into the bucket, and gives a presigned URL for it and how to delete it.
	Put(body []byte) (url string, remove func())
}

// TemporaryScenario is one thing that holds for a temporary machine; it needs one of its own.
type TemporaryScenario struct {
	Name string
	Run  func(t testing.TB, m Temporary)
}

// TemporaryScenarios gives all of them.
func TemporaryScenarios() []TemporaryScenario {
	return []TemporaryScenario{
		{"the release is packed", packs},
		{"a source is compiled, once for an id", compiles},
		{"other bytes are not compiled", compilesNoOther},
		{"an object that is not there is told", tellsOfAbsence},
	}
}

// small is a source that compiles at once.
func small(t testing.TB) agent.Source {
	t.Helper()
	s := agent.Source{Hash: "0123456789ab", Agent: "FlyDeployAgent_0123456789ab"}
	var file bytes.Buffer
	z := zlib.NewWriter(&file)
	_, err := z.Write([]byte("\fagent/json.ex\ndefmodule " + s.Agent + ".Json do\nend\n\fagent/agent.ex\ndefmodule " + s.Agent + " do\ndef json, do: __MODULE__.Json\nend\n"))
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	s.File = file.Bytes()
	return s
}

func packs(t testing.TB, m Temporary) {
	root, app := m.Release()
	id := agent.NewID("01TEST")
	made, err := agent.MakeTarball(t.Context(), m.Exec, id, root, app, false, nil)
	if err != nil || made.AppVersion == "" || made.Release == "" || made.OTP == "" || made.Elixir == "" || made.ERTS == "" || made.Entries < made.Beams {
		t.Fatalf("%+v %v", made, err)
	}
	if again, err := agent.MakeTarball(t.Context(), m.Exec, id, root, app, false, nil); err != nil || again != made {
		t.Errorf("asked again: %+v %v", again, err)
	}
}

func compiles(t testing.TB, m Temporary) {
	root, app := m.Release()
	source := small(t)
	id := agent.NewID("01TEST")
	url, remove := m.Put(source.File)
	made, err := agent.CompileAgent(t.Context(), m.Exec, id, root, source, url, "")
	if err != nil || !made.Valid() || made.Source != source.Hash || made.OTP == "" || made.Elixir == "" {
		t.Fatalf("%+v %v", made, err)
	}
	remove()
	if again, err := agent.CompileAgent(t.Context(), m.Exec, id, root, source, url, ""); err != nil || again != made {
		t.Errorf("asked again: %+v %v", again, err)
	}
	// The other job of the same machine works in the same folder.
	if packed, err := agent.MakeTarball(t.Context(), m.Exec, id, root, app, false, nil); err != nil || packed.OTP != made.OTP || packed.Elixir != made.Elixir {
		t.Errorf("%+v %v", packed, err)
	}
}

func compilesNoOther(t testing.TB, m Temporary) {
	root, _ := m.Release()
	source := small(t)
	other := bytes.Clone(source.File)
	other[len(other)-1] ^= 1
	url, _ := m.Put(other)
	_, err := agent.CompileAgent(t.Context(), m.Exec, agent.NewID("01TEST"), root, source, url, "")
	refused(t, err, "sha256_differs", "sha256 of what the storage gave", url)
}

func tellsOfAbsence(t testing.TB, m Temporary) {
	root, _ := m.Release()
	source := small(t)
	url, remove := m.Put(source.File)
	remove()
	_, err := agent.CompileAgent(t.Context(), m.Exec, agent.NewID("01TEST"), root, source, url, "")
	refused(t, err, "download_failed", "the storage answered 404", url)
}

// refused expects a refusal that does not show the URL.
func refused(t testing.TB, err error, name, says, url string) {
	t.Helper()
	_, secret, _ := strings.Cut(url, "?")
	var refusal *agent.Refusal
	if !errors.As(err, &refusal) || refusal.Name != name || !strings.HasPrefix(err.Error(), "downloading the agent's source: ") || !strings.Contains(err.Error(), says) {
		t.Fatalf("got %v, want %s: %s", err, name, says)
	}
	if secret == "" || strings.Contains(err.Error(), secret) {
		t.Errorf("it shows the URL: %v", err)
	}
}
