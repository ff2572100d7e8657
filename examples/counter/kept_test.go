package counter

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// builder builds releases that are a file with the version in it.
func builder(t *testing.T, builds *atomic.Int32) func(string) (string, error) {
	return func(source string) (string, error) {
		builds.Add(1)
		if _, err := os.Stat(filepath.Join(source, "mix.exs")); err != nil {
			t.Errorf("the source is not there: %v", err)
		}
		root := filepath.Join(source, "built")
		if err := os.Mkdir(root, 0o755); err != nil {
			return "", err
		}
		return root, os.WriteFile(filepath.Join(root, "version"), []byte("1"), 0o600)
	}
}

// Everybody who wants the same release at once gets the one that the first builds; what killed builds left is removed.
func TestAReleaseIsBuiltOnce(t *testing.T) {
	folder := t.TempDir()
	left, recent := filepath.Join(folder, "source-1"), filepath.Join(folder, "v2-0123")
	for _, path := range []string{left, recent} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if at := time.Now().Add(-keptFor - time.Minute); os.Chtimes(left, at, at) != nil {
		t.Fatal("no time set")
	}
	var builds, fresh atomic.Int32
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			root, kept, err := keep(folder, "v1-abcd", builder(t, &builds))
			if version, _ := os.ReadFile(filepath.Join(root, "version")); err != nil || string(version) != "1" {
				t.Errorf("%s: %q, %v", root, version, err)
			}
			if !kept {
				fresh.Add(1)
			}
		})
	}
	group.Wait()
	if builds.Load() != 1 || fresh.Load() != 1 {
		t.Errorf("%d builds, %d said so", builds.Load(), fresh.Load())
	}
	entries, err := os.ReadDir(folder)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); err != nil || got != "v1-abcd v1-abcd.lock v2-0123" {
		t.Errorf("the folder holds %s, %v", got, err)
	}
}

func TestAFailedBuildIsNotKept(t *testing.T) {
	folder := t.TempDir()
	broken := errors.New("broken")
	if _, _, err := keep(folder, "v1-abcd", func(string) (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	var builds atomic.Int32
	if _, kept, err := keep(folder, "v1-abcd", builder(t, &builds)); kept || err != nil {
		t.Errorf("kept %v, %v", kept, err)
	}
}

// Another version, and another Erlang or Elixir, make another release.
func TestAReleaseIsKeptForItsVersionAndTools(t *testing.T) {
	keys := map[string]bool{}
	for _, tools := range []string{"Elixir 1.14.0", "Elixir 1.18.3"} {
		for version := 1; version <= 3; version++ {
			key, err := keyOf(tools, version)
			if again, _ := keyOf(tools, version); err != nil || again != key {
				t.Errorf("%s and %s, %v", key, again, err)
			}
			keys[key] = true
		}
	}
	if len(keys) != 6 {
		t.Errorf("keys %v", keys)
	}
}
