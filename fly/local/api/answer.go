package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"flydeploy/fly/local/machine"
)

// refusal is an answer with a status other than 2xx.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

// created is a result that answers with 201.
type created struct{ body any }

type okAnswer struct {
	OK bool `json:"ok"`
}

func writeResult(w http.ResponseWriter, result any) {
	status := http.StatusOK
	switch r := result.(type) {
	case nil:
		w.WriteHeader(http.StatusNoContent)
		return
	case created:
		status, result = http.StatusCreated, r.body
	}
	body, err := json.Marshal(result)
	if err != nil {
		writeError(w, err)
		return
	}
	write(w, status, body)
}

func writeError(w http.ResponseWriter, err error) {
	body, _ := json.Marshal(map[string]string{"error": err.Error()}) // a map of strings always marshals
	write(w, statusOf(err), body)
}

func statusOf(err error) int {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return refused.status
	case errors.Is(err, machine.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, machine.ErrState):
		return http.StatusPreconditionFailed
	case errors.Is(err, machine.ErrBusy), errors.Is(err, machine.ErrNoCapacity):
		return http.StatusConflict
	case errors.Is(err, machine.ErrQuota):
		return http.StatusForbidden
	case errors.Is(err, machine.ErrClosed):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone; that is no concern of the server's
}
