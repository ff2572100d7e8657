package fly

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"flydeploy/engine"
)

// execGrace is how much longer than the command itself a call may take. Apart from rate limits, the latency of a call is about
// half a second.
const execGrace = 15 * time.Second

// ErrTooLarge says that the command does not fit into one request. It was not carried out.
var ErrTooLarge = errors.New("the command is too large for one request (about 16 KB)")

// execRequest is the body of an exec. fly-go v0.5.0 only has a single string, which the platform would split into words.
type execRequest struct {
	Command []string `json:"command"`
	Stdin   string   `json:"stdin,omitempty"`
	Timeout int      `json:"timeout"` // seconds
	// Container is where the command runs on a machine with several; "" leaves that to the platform.
	Container string `json:"container,omitempty"`
}

// execAnswer is what Fly's init answers. A command that a signal has ended has no exit code. Source: superfly/init-snapshot,
// src/api/exec.rs.
type execAnswer struct {
	Stdout     string `json:"stdout"`
	Stderr     string `json:"stderr"`
	ExitCode   int    `json:"exit_code"`   // 0 where it is null
	ExitSignal int    `json:"exit_signal"` // none where it is null, 0, or -1 as in Fly's exit events
}

// exitCode is the command's, as a shell gives it: 128 + the signal that has ended it.
func (a execAnswer) exitCode() int {
	if a.ExitCode == 0 && a.ExitSignal > 0 {
		return 128 + a.ExitSignal
	}
	return a.ExitCode
}

// Exec implements engine.Fleet.
func (c *Client) Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	container, err := c.Container(ctx, machineID)
	if err != nil {
		return engine.Output{}, err
	}
	return c.execIn(ctx, machineID, container, command, stdin, timeout)
}

// Container is where commands on a machine run, "" for a machine without containers.
func (c *Client) Container(ctx context.Context, machineID string) (string, error) {
	return c.containers.choose(machineID, func(container string) (bool, error) { return c.runsVM(ctx, machineID, container) })
}

// lookForVM prints vm if an Erlang VM is among the processes. It needs nothing but a shell.
const lookForVM = `for c in /proc/[0-9]*/comm; do n=; read -r n <"$c" 2>/dev/null; case "$n" in beam*) echo vm; exit;; esac; done; echo none`

// runsVM reports whether an Erlang VM runs in a container. One without a shell has none.
func (c *Client) runsVM(ctx context.Context, machineID, container string) (bool, error) {
	out, err := c.execIn(ctx, machineID, container, []string{"/bin/sh", "-c", lookForVM}, "", 10*time.Second)
	return strings.TrimSpace(out.Stdout) == "vm", err
}

// execIn runs a command in a container, "" for the machine itself.
func (c *Client) execIn(ctx context.Context, machineID, container string, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	seconds := max(1, int((timeout+time.Second-1)/time.Second))
	r := request{
		op: "exec on machine", action: "exec", method: http.MethodPost, machine: machineID, nonce: c.nonceOf(machineID),
		path: "/" + url.PathEscape(machineID) + "/exec", body: execRequest{Command: command, Stdin: stdin, Timeout: seconds, Container: container},
		timeout: timeout + execGrace, maxElapsed: 20 * time.Second,
	}
	var answer execAnswer
	err := c.do(ctx, r, &answer)
	if isStatus(err, http.StatusRequestEntityTooLarge) || isRejection(answer) {
		return engine.Output{}, engine.NewProblem("too_large", r.what(), ErrTooLarge, "This is a bug in flydeploy. Please report it.")
	}
	if err != nil {
		return engine.Output{}, err
	}
	return engine.Output{Stdout: answer.Stdout, Stderr: answer.Stderr, ExitCode: answer.exitCode()}, nil
}

// isRejection recognizes the answer to a request that was too large: a command that succeeded, with the refusal instead of its
// output. Source: reports in Fly's community forum.
func isRejection(a execAnswer) bool {
	for _, output := range []string{a.Stdout, a.Stderr} {
		if strings.HasPrefix(strings.TrimSpace(output), "Rejection(") && strings.Contains(output, "PayloadTooLarge") {
			return true
		}
	}
	return false
}
