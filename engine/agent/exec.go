// Package agent talks to the agent: the Elixir modules that flydeploy puts into a running VM (elixir/agent), which
// stage an upgrade there and commit it. The contract is request and answer over the Machines API's exec: no streaming,
// under 12 KB, and an answer may get lost.
package agent

import (
	"context"
	"time"

	"flydeploy/engine"
)

// Exec runs command (words, no shell) as root on one machine and answers once it has ended. It is never repeated. stdin is what
// it reads: the place for secrets, since words stand in the list of processes.
type Exec func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error)
