// Package countertest builds the sample app's releases for tests.
package countertest

import (
	"bytes"
	"sync"
	"testing"

	"flydeploy/examples/counter"
)

var builds struct {
	sync.Mutex
	roots map[int]string
}

// Release gives the root folder of a version of the sample app, which must not be changed. All packages' tests share it,
// and later runs, as long as the source stays as it is.
func Release(t testing.TB, version int) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if root := builds.roots[version]; root != "" {
		return root
	}
	var output bytes.Buffer
	root, _, err := counter.Kept(t.Context(), version, func(source string) (string, error) {
		return counter.Build(t.Context(), source, version, &output)
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, output.Bytes())
	}
	if builds.roots == nil {
		builds.roots = map[int]string{}
	}
	builds.roots[version] = root
	return root
}
