package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flydeploy/engine"
)

func TestAgentsAreRememberedByWhatCompiledThem(t *testing.T) {
	f := agentFile(filepath.Join(t.TempDir(), "cache", "agents.json"))
	if a, ok := f.Known("0123456789ab", "27", "1.18.3"); ok {
		t.Fatalf("without a file: %+v", a)
	}
	first := engine.CompiledAgent{URL: "https://storage.test/a", SHA256: strings.Repeat("a", 64), Size: 90, Source: "0123456789ab", OTP: "27", Elixir: "1.18.3"}
	for _, a := range []engine.CompiledAgent{first, {SHA256: strings.Repeat("b", 64), Size: 80, Source: "0123456789ab", OTP: "25", Elixir: "1.14.0"}} {
		if err := f.Remember(a); err != nil {
			t.Fatal(err)
		}
	}
	first.URL = "" // it is one app's
	if a, ok := f.Known("0123456789ab", "27", "1.18.3"); !ok || a != first {
		t.Errorf("%+v", a)
	}
	for _, other := range [][3]string{{"ba9876543210", "27", "1.18.3"}, {"0123456789ab", "26", "1.18.3"}, {"0123456789ab", "27", "1.14.0"}} {
		if a, ok := f.Known(other[0], other[1], other[2]); ok {
			t.Errorf("%v: %+v", other, a)
		}
	}
	first.SHA256 = strings.Repeat("c", 64)
	if err := f.Remember(first); err != nil {
		t.Fatal(err)
	}
	if a, _ := f.Known("0123456789ab", "27", "1.18.3"); a != first {
		t.Errorf("the older one is told: %+v", a)
	}
	for i := range 2 * keptAgents {
		if err := f.Remember(engine.CompiledAgent{SHA256: strings.Repeat("d", 64), Size: 1, Source: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := f.read(); err != nil || len(all) != keptAgents {
		t.Errorf("%d remembered, %v", len(all), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(string(f)), "*")); len(left) != 1 {
		t.Errorf("files: %v", left)
	}
}

// Whatever lies there, a deploy goes on, and remembers the next agent.
func TestABrokenFileOfAgentsIsAnEmptyOne(t *testing.T) {
	f := agentFile(filepath.Join(t.TempDir(), "agents.json"))
	a := engine.CompiledAgent{SHA256: strings.Repeat("a", 64), Size: 90, Source: "0123456789ab", OTP: "27", Elixir: "1.18.3"}
	for _, body := range []string{"", "{", "null", `[{"source":"0123456789ab","otp":"27","elixir":"1.18.3","sha256":"../../x","size":1}]`} {
		if err := os.WriteFile(string(f), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if known, ok := f.Known(a.Source, a.OTP, a.Elixir); ok {
			t.Errorf("%q: %+v", body, known)
		}
		if err := f.Remember(a); err != nil {
			t.Errorf("%q: %v", body, err)
		}
		if known, ok := f.Known(a.Source, a.OTP, a.Elixir); !ok || known != a {
			t.Errorf("%q: %+v", body, known)
		}
	}
}
