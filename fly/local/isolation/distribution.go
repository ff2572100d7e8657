package isolation

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// loopback is an address of this computer that leads nowhere else, on which the nodes of plain processes listen.
type loopback struct {
	ip     string
	erlang string // the same, as Erlang writes it
}

var (
	loopback4 = loopback{"127.0.0.1", "{127,0,0,1}"}
	loopback6 = loopback{"::1", "{0,0,0,0,0,0,0,1}"}
)

// hasIPv6 reports whether this computer has a loopback address of IPv6.
var hasIPv6 = sync.OnceValue(func() bool {
	listener, err := net.Listen("tcp6", net.JoinHostPort(loopback6.ip, "0"))
	if err != nil {
		return false
	}
	return listener.Close() == nil
})

var errNoIPv6 = errors.New("the release's node speaks IPv6 (-proto_dist inet6_tcp), and this computer has no IPv6 on its loopback interface (sysctl net.ipv6.conf.lo.disable_ipv6=0)")

// speaksIPv6 is what a node is started with whose distribution goes over IPv6, as Fly's private network does: `fly launch` has it in rel/env.sh.eex,
// and had it in the Dockerfile.
const speaksIPv6 = "inet6_tcp"

// nodeAddress tells the address for a node's distribution, by what its release and its environment start it with.
func nodeAddress(release string, env map[string]string) (loopback, error) {
	says := []string{env["ERL_AFLAGS"], env["ERL_FLAGS"], env["ERL_ZFLAGS"], env["ELIXIR_ERL_OPTIONS"]}
	for _, name := range []string{"env.sh", "vm.args"} {
		found, _ := filepath.Glob(filepath.Join(release, "releases", "*", name)) // the pattern is right
		for _, file := range found {
			if body, err := os.ReadFile(file); err == nil {
				says = append(says, withoutComments(string(body)))
			}
		}
	}
	switch {
	case !strings.Contains(strings.Join(says, "\n"), speaksIPv6):
		return loopback4, nil
	case !hasIPv6():
		return loopback{}, errNoIPv6
	}
	return loopback6, nil
}

// withoutComments leaves out the lines that are comments, in shell as in vm.args.
func withoutComments(body string) string {
	var kept strings.Builder
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
