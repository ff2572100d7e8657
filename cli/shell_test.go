package cli

import (
	"testing"

	"flydeploy/engine"
)

// The demo's machines have no ssh: that is said, and no fly is asked for.
func TestTheDemoHasNoShells(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, iex := range []bool{false, true} {
		if visit, err := (&connection{passing: true}).terminal(t.Context(), "148e", iex); visit != nil || engine.AsProblem(err).Name != "demo" {
			t.Errorf("%v, %v", visit, err)
		}
	}
}
