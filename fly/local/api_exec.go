package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxExecRequest is the size of a request to exec from which on Fly does not run it, and says so in the output of a
	// success (reported by users).
	maxExecRequest = 16 << 10
	maxExecTimeout = 60 // seconds
)

type execRequest struct {
	Command []string `json:"command"`
	Cmd     string   `json:"cmd"`
	Stdin   string   `json:"stdin"`
	Timeout int      `json:"timeout"` // seconds
}

func (a *api) exec(r *http.Request, m *machine) (any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxExecRequest+1))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid_argument: %v", err)
	}
	if len(body) > maxExecRequest {
		_, _ = io.Copy(io.Discard, r.Body) // the client may wait to be read to the end
		return tooLarge(), nil
	}
	var request execRequest
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&request); err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid_argument: %v", err)
	}
	return a.run(m, request)
}

func tooLarge() ExecResult {
	return ExecResult{Stdout: fmt.Sprintf("Rejection([PayloadTooLarge { limit: %d }])", maxExecRequest)}
}

// run does not take the request's context: on Fly a command runs on when its client has gone.
func (a *api) run(m *machine, request execRequest) (any, error) {
	if request.Timeout > maxExecTimeout {
		return nil, refuse(http.StatusBadRequest, "timeout must not exceed %d seconds", maxExecTimeout)
	}
	if request.Timeout <= 0 {
		request.Timeout = maxExecTimeout
	}
	command := request.Command
	if len(command) == 0 {
		words, err := splitWords(request.Cmd)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "invalid_argument: cmd: %v", err)
		}
		command = words
	}
	if len(command) == 0 {
		return nil, refuse(http.StatusBadRequest, "invalid_argument: no command")
	}
	vm := m.running()
	if vm == nil {
		state, _ := m.state()
		return nil, refuse(http.StatusPreconditionFailed, "failed_precondition: machine is not started, current state: '%s'", state)
	}
	ctx, cancel := context.WithTimeout(a.fly.background, time.Duration(request.Timeout)*time.Second)
	defer cancel()
	result, err := vm.exec(ctx, command, request.Stdin)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "deadline_exceeded: command did not end within %d seconds", request.Timeout)
	case err != nil:
		return nil, refuse(http.StatusInternalServerError, "exec on machine %s: %v", m.id(), err)
	}
	return result, nil
}

var errOpenQuote = errors.New("a quote is not closed")

// splitWords makes words of a command line. Quotes and backslashes keep blanks together; nothing else has a meaning.
func splitWords(line string) ([]string, error) {
	var words []string
	var word []rune
	inWord, quote, escaped := false, rune(0), false
	for _, c := range line {
		switch {
		case escaped:
			word, escaped = append(word, c), false
		case c == '\\' && quote != '\'':
			inWord, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			inWord, quote = true, c
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inWord {
				words, word, inWord = append(words, string(word)), nil, false
			}
		default:
			word, inWord = append(word, c), true
		}
	}
	if quote != 0 || escaped {
		return nil, errOpenQuote
	}
	if inWord {
		words = append(words, string(word))
	}
	return words, nil
}
