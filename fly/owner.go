package fly

import (
	"cmp"
	"os"
	"os/user"
)

// Owner names who deploys, as user@host: it goes into the deploy lock and the records.
func Owner() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return cmp.Or(name, "unknown") + "@" + cmp.Or(host, "unknown")
}
