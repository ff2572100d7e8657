package cli

import (
	"strings"
	"testing"
)

func TestTheLocalUserHasANameAndAHost(t *testing.T) {
	t.Setenv("USER", "")
	name, host, ok := strings.Cut(localUser(), "@")
	if !ok || name == "" || host == "" {
		t.Errorf("got %q", localUser())
	}
}
