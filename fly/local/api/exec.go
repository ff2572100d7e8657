package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/machine"
)

const (
	// maxExecRequest is the size of a request to exec, in bytes. A larger one is not run on Fly, which says so in the
	// output of a success (reported by users).
	maxExecRequest = 16 << 10
	maxExecTimeout = 60 // seconds
)

type execRequest struct {
	Command []string `json:"command"`
	Cmd     string   `json:"cmd"`
	Stdin   string   `json:"stdin"`
	Timeout int      `json:"timeout"` // seconds
	// Container names the one to run in; every container is the machine itself here.
	Container string `json:"container"`
}

// ExecResult is an exec's answer. As on Fly, a command that a signal has ended has no exit code. Source: superfly/init-snapshot,
// src/api/exec.rs.
type ExecResult struct {
	Stdout     string
	Stderr     string
	ExitCode   int
	ExitSignal int // 0 for none
}

// execAnswer is its wire format.
type execAnswer struct {
	Stdout     string `json:"stdout"`
	Stderr     string `json:"stderr"`
	ExitCode   *int   `json:"exit_code,omitempty"`
	ExitSignal *int   `json:"exit_signal,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (r ExecResult) MarshalJSON() ([]byte, error) {
	answer := execAnswer{Stdout: r.Stdout, Stderr: r.Stderr, ExitCode: &r.ExitCode}
	if r.ExitSignal > 0 {
		answer.ExitCode, answer.ExitSignal = nil, &r.ExitSignal
	}
	return json.Marshal(answer)
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *ExecResult) UnmarshalJSON(body []byte) error {
	var answer execAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	*r = ExecResult{Stdout: answer.Stdout, Stderr: answer.Stderr}
	if answer.ExitCode != nil {
		r.ExitCode = *answer.ExitCode
	}
	if answer.ExitSignal != nil {
		r.ExitSignal = *answer.ExitSignal
	}
	return nil
}

func (a *API) exec(r *http.Request, m *machine.Machine) (any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxExecRequest+1))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid_argument: %v", err)
	}
	if len(body) > maxExecRequest {
		_, _ = io.Copy(io.Discard, r.Body) // the client may not read the answer before it has sent everything
		return tooLarge(), nil
	}
	var request execRequest
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&request); err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid_argument: %v", err)
	}
	if request.Timeout > maxExecTimeout {
		return nil, refuse(http.StatusBadRequest, "timeout must not exceed %d seconds", maxExecTimeout)
	}
	if request.Timeout <= 0 {
		request.Timeout = maxExecTimeout
	}
	if request.Container != "" && !hasContainer(m, request.Container) {
		return nil, refuse(http.StatusBadRequest, "invalid_argument: machine %s has no container %s", m.ID(), request.Container)
	}
	command, err := request.words()
	if err != nil {
		return nil, err
	}
	// On Fly a command runs on when its client has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Duration(request.Timeout)*time.Second)
	defer cancel()
	result, err := m.Exec(ctx, command, request.Stdin)
	switch {
	case errors.Is(err, machine.ErrState):
		return nil, err
	case errors.Is(err, context.DeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "deadline_exceeded: command did not end within %d seconds", request.Timeout)
	case err != nil:
		return nil, refuse(http.StatusInternalServerError, "exec on machine %s: %v", m.ID(), err)
	}
	return ExecResult(result), nil
}

func hasContainer(m *machine.Machine, name string) bool {
	return slices.ContainsFunc(m.Snapshot().Config.Containers, func(c *fly.ContainerConfig) bool { return c.Name == name })
}

// words are the command's, of which there is at least one.
func (e execRequest) words() ([]string, error) {
	words := e.Command
	if len(words) == 0 {
		var err error
		if words, err = splitWords(e.Cmd); err != nil {
			return nil, refuse(http.StatusBadRequest, "invalid_argument: cmd: %v", err)
		}
	}
	if len(words) == 0 {
		return nil, refuse(http.StatusBadRequest, "invalid_argument: no command")
	}
	return words, nil
}

func tooLarge() ExecResult {
	return ExecResult{Stdout: fmt.Sprintf("Rejection([PayloadTooLarge { limit: %d }])", maxExecRequest)}
}
