package kept

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

func agentOf(file, source, otp, elixir string) engine.CompiledAgent {
	sum := sha256.Sum256([]byte(file))
	return engine.CompiledAgent{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(file)), Source: source, OTP: otp, Elixir: elixir}
}

func TestAgentsAreKeptByWhatCompiledThem(t *testing.T) {
	f := Folder(filepath.Join(t.TempDir(), "cache", "agents"))
	if a, _, ok := f.Known("0123456789ab", "27", "1.18.3"); ok {
		t.Fatalf("without a folder: %+v", a)
	}
	first := agentOf("one", "0123456789ab", "27", "1.18.3")
	given := first
	given.URL = "https://storage.test/a" // one app's
	for file, a := range map[string]engine.CompiledAgent{"one": given, "two": agentOf("two", "0123456789ab", "25", "1.14.0")} {
		if err := f.Keep(a, []byte(file)); err != nil {
			t.Fatal(err)
		}
	}
	if a, file, ok := f.Known("0123456789ab", "27", "1.18.3"); !ok || a != first || string(file) != "one" {
		t.Errorf("%+v %q", a, file)
	}
	for _, other := range [][3]string{{"ba9876543210", "27", "1.18.3"}, {"0123456789ab", "26", "1.18.3"}, {"0123456789ab", "27", "1.14.0"}, {"..", "/", "*"}} {
		if a, _, ok := f.Known(other[0], other[1], other[2]); ok {
			t.Errorf("%v: %+v", other, a)
		}
	}
	newer := agentOf("newer", "0123456789ab", "27", "1.18.3")
	if err := f.Keep(newer, []byte("newer")); err != nil {
		t.Fatal(err)
	}
	if a, _, _ := f.Known("0123456789ab", "27", "1.18.3"); a != newer {
		t.Errorf("the older one is told: %+v", a)
	}
	if all := f.files(""); len(all) != 2 {
		t.Errorf("files: %v", all)
	}
}

// Those that were used last stay.
func TestOldAgentsAreRemoved(t *testing.T) {
	f := Folder(t.TempDir())
	long := time.Now().Add(-time.Hour)
	for i := range 2 * maxAgents {
		a := agentOf("x", fmt.Sprint(i), "27", "1.18.3")
		if err := f.Keep(a, []byte("x")); err != nil {
			t.Fatal(err)
		}
		path := f.files(fmt.Sprint(i) + "-")[0]
		if err := os.Chtimes(path, long, long.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := f.Known("0", "27", "1.18.3"); !ok {
			t.Fatalf("after %d the one that is used all the time is gone", i)
		}
	}
	if all := f.files(""); len(all) != maxAgents {
		t.Errorf("%d files", len(all))
	}
	if left, _ := filepath.Glob(filepath.Join(string(f), "new-*")); len(left) > 0 {
		t.Errorf("files: %v", left)
	}
}

// Whatever lies there, a deploy goes on, and keeps the next agent.
func TestBrokenFilesAreNotThere(t *testing.T) {
	f := Folder(t.TempDir())
	a := agentOf("agent", "0123456789ab", "27", "1.18.3")
	path := filepath.Join(string(f), "0123456789ab-27-1.18.3-"+a.SHA256+".beams")
	for _, body := range []string{"", "agen", "agenT"} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if known, _, ok := f.Known(a.Source, a.OTP, a.Elixir); ok {
			t.Errorf("%q: %+v", body, known)
		}
		if err := f.Keep(a, []byte("agent")); err != nil {
			t.Errorf("%q: %v", body, err)
		}
		if known, _, ok := f.Known(a.Source, a.OTP, a.Elixir); !ok || known != a {
			t.Errorf("%q: %+v", body, known)
		}
	}
}

// The bucket's bytes are not believed.
func TestOnlyThePinnedBytesAreKept(t *testing.T) {
	f := Folder(t.TempDir())
	a := agentOf("agent", "0123456789ab", "27", "1.18.3")
	if err := f.Keep(a, []byte("agenT")); err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Error(err)
	}
	if _, _, ok := f.Known(a.Source, a.OTP, a.Elixir); ok {
		t.Error("it was kept")
	}
	blocked := Folder(filepath.Join(string(f), "file"))
	if err := os.WriteFile(string(blocked), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := blocked.Keep(a, []byte("agent")); err == nil {
		t.Error("kept in a file")
	}
}
