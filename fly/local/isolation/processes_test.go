package isolation

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// envOfFly is rel/env.sh as `fly launch` makes it for Phoenix.
const envOfFly = `#!/bin/sh

# configure node for distributed erlang with IPV6 support
export ERL_AFLAGS="-proto_dist inet6_tcp"
export ECTO_IPV6="true"
export DNS_CLUSTER_QUERY="${FLY_APP_NAME}.internal"
export RELEASE_DISTRIBUTION="name"
export RELEASE_NODE="${FLY_APP_NAME}-${FLY_IMAGE_REF##*-}@${FLY_PRIVATE_IP}"
`

// A node that speaks IPv6, as those on Fly do, is named by this computer's loopback address of IPv6, and listens nowhere else.
func TestANodeThatSpeaksIPv6(t *testing.T) {
	has := hasIPv6
	t.Cleanup(func() { hasIPv6 = has })
	for name, test := range map[string]struct {
		envSh, vmArgs string
		flags         string
		none          bool // this computer has no IPv6
		node, listens string
	}{
		"by env.sh":                {envSh: envOfFly, node: "::1", listens: "{0,0,0,0,0,0,0,1}"},
		"by vm.args":               {vmArgs: "## comment\n-proto_dist inet6_tcp\n", node: "::1", listens: "{0,0,0,0,0,0,0,1}"},
		"by the Dockerfile's":      {flags: "-proto_dist inet6_tcp", node: "::1", listens: "{0,0,0,0,0,0,0,1}"},
		"in a comment":             {envSh: "#!/bin/sh\n# export ERL_AFLAGS=\"-proto_dist inet6_tcp\"\n", node: "127.0.0.1", listens: "{127,0,0,1}"},
		"as mix makes it":          {envSh: "#!/bin/sh\n", none: true, node: "127.0.0.1", listens: "{127,0,0,1}"},
		"on a computer without it": {envSh: envOfFly, none: true},
	} {
		hasIPv6 = func() bool { return !test.none }
		v := &processVM{machine: "m1", paths: machinePaths(t.TempDir())}
		dir := filepath.Join(string(v.paths), "app", "releases", "1.0.0")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "env.sh"), []byte(test.envSh), 0o755), os.WriteFile(filepath.Join(dir, "vm.args"), []byte(test.vmArgs), 0o644)); err != nil {
			t.Fatal(err)
		}
		order := Order{Machine: "m1", Command: []string{"/app/bin/counter", "start"}, Env: map[string]string{"FLY_PRIVATE_IP": "fdaa:0:1::2", "ERL_AFLAGS": test.flags}}
		env, _, err := v.environment(order, &processes{run: run.Folder(t.TempDir())})
		if test.node == "" {
			if !errors.Is(err, errNoIPv6) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if env["RELEASE_NODE"] != "counter@"+test.node || env["FLY_PRIVATE_IP"] != test.node || env["ERL_EPMD_ADDRESS"] != test.node ||
			env["ERL_ZFLAGS"] != "-start_epmd false -kernel inet_dist_use_interface "+test.listens {
			t.Errorf("%s: %v", name, env)
		}
	}
}

// A release without an Erlang VM of its own needs this computer's port mapper.
func TestThePortMapperOfARelease(t *testing.T) {
	bin := t.TempDir()
	add := func(dir string, names ...string) {
		for _, name := range names {
			if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), nil, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(bin, "epmd")
	for name, test := range map[string]struct {
		files []string
		want  string // below app, or in PATH
	}{
		"its own":    {[]string{"erts-15.2/bin/epmd", "releases/start_erl.data"}, "app/erts-15.2/bin/epmd"},
		"none":       {[]string{"releases/start_erl.data"}, "epmd"},
		"no release": {[]string{"bin/server"}, ""},
		"a VM alone": {[]string{"erts-15.2/bin/beam.smp", "releases/start_erl.data"}, ""},
	} {
		dir := t.TempDir()
		add(filepath.Join(dir, "app"), test.files...)
		got, err := (&processVM{paths: machinePaths(dir), env: []string{"PATH=" + bin}}).findEpmd()
		want := map[string]string{"": "", "epmd": filepath.Join(bin, "epmd")}[test.want]
		if strings.HasPrefix(test.want, "app/") {
			want = filepath.Join(dir, test.want)
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
