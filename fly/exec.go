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

// execGrace is how much longer than the command's own time an answer may take: rate limits aside, one call has about
// half a second of latency.
const execGrace = 15 * time.Second

// ErrTooLarge says that the command did not fit into a request. It was not carried out.
var ErrTooLarge = errors.New("the command is too large for one request (about 16 KB)")

// execRequest is the body of an exec. fly-go v0.5.0 knows only a single string, which the platform splits by itself.
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

// Exec implements engine.Fleet. The exit code of a command that a signal ended is 128 + signal, as in a shell.
func (c *Client) Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	seconds := max(1, int((timeout+time.Second-1)/time.Second))
	r := request{
		op: "exec on machine", action: "exec", method: http.MethodPost, machine: machineID,
		path: "/" + url.PathEscape(machineID) + "/exec", body: execRequest{Command: command, Stdin: stdin, Timeout: seconds},
		timeout: timeout + execGrace, patience: 20 * time.Second,
	}
	var answer execAnswer
	err := c.do(ctx, r, &answer)
	if isStatus(err, http.StatusRequestEntityTooLarge) || isRejection(answer) {
		return engine.Output{}, engine.NewProblem("too_large", r.what(), ErrTooLarge, "This is a fault of flydeploy: please report it.")
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

// isRejection recognises a request that was too large: the platform answers it as a command that succeeded, with the
// refusal in the place of its output. Source: reports by users of Fly's community forum.
func isRejection(a execAnswer) bool {
	for _, output := range []string{a.Stdout, a.Stderr} {
		if strings.HasPrefix(strings.TrimSpace(output), "Rejection(") && strings.Contains(output, "PayloadTooLarge") {
			return true
		}
	}
	return false
}
