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
}

type execAnswer struct {
	Stdout     string `json:"stdout"`
	Stderr     string `json:"stderr"`
	ExitCode   int    `json:"exit_code"`
	ExitSignal int    `json:"exit_signal"`
}

// Exec implements engine.Fleet. As in a shell, the exit code of a command that was ended by a signal is 128 + the signal.
func (c *Client) Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	seconds := max(1, int((timeout+time.Second-1)/time.Second))
	r := request{
		op: "exec on machine", action: "exec", method: http.MethodPost, machine: machineID,
		path: "/" + url.PathEscape(machineID) + "/exec", body: execRequest{Command: command, Stdin: stdin, Timeout: seconds},
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
	out := engine.Output{Stdout: answer.Stdout, Stderr: answer.Stderr, ExitCode: answer.ExitCode}
	if out.ExitCode == 0 && answer.ExitSignal != 0 {
		out.ExitCode = 128 + answer.ExitSignal
	}
	return out, nil
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
