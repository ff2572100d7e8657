package isolation

import (
	"testing"

	"flydeploy/fly/local/run"
)

// A node is named by an address: where there is no /etc/hosts, as in a system that was just made, the name localhost leads nowhere.
func TestANodeNeedsNoNameServer(t *testing.T) {
	v := &processVM{machine: "m1", paths: machinePaths(t.TempDir())}
	env, _, err := v.environment(Order{Machine: "m1", Command: []string{"/app/bin/counter", "start"}, Env: map[string]string{"RELEASE_NODE": "of@another"}}, &processes{run: run.Folder(t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	if node, by := env["RELEASE_NODE"], env["RELEASE_DISTRIBUTION"]; node != "counter@127.0.0.1" || by != "name" {
		t.Errorf("the node is %s, by %s", node, by)
	}
}
