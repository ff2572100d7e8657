package command

import (
	"os/exec"
	"strings"
	"testing"
)

func TestTheSigningKeyIsNotPassedOn(t *testing.T) {
	t.Setenv(SigningKeyVariable, "flydeploy-signing-key:secret")
	t.Setenv("FLYDEPLOY_SIGNING_KEY_OF_ANOTHER", "passed on")
	cmd := exec.Command("env")
	cmd.Env = Environ()
	out, err := cmd.Output()
	if err != nil || strings.Contains(string(out), "secret") || !strings.Contains(string(out), "passed on") {
		t.Errorf("%v\n%s", err, out)
	}
}
