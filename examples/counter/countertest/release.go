// Package countertest builds the sample app's releases for tests.
package countertest

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"flydeploy/examples/counter"
)

var builds struct {
	sync.Mutex
	folder string
	roots  map[int]string
}

// Release gives the root folder of a version of the sample app, built once for all tests of a binary: see Remove.
func Release(t testing.TB, version int) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if root := builds.roots[version]; root != "" {
		return root
	}
	if builds.roots == nil {
		folder, err := os.MkdirTemp("", "flydeploy-test-")
		if err != nil {
			t.Fatal(err)
		}
		builds.folder, builds.roots = folder, map[int]string{}
		if err := counter.WriteTo(filepath.Join(folder, "counter")); err != nil {
			t.Fatal(err)
		}
	}
	var output bytes.Buffer
	root, err := counter.Build(t.Context(), filepath.Join(builds.folder, "counter"), version, &output)
	if err != nil {
		t.Fatalf("%v\n%s", err, output.Bytes())
	}
	builds.roots[version] = root
	return root
}

// Remove removes what was built. It belongs behind the tests in a TestMain.
func Remove() {
	if builds.folder != "" {
		os.RemoveAll(builds.folder)
	}
}
