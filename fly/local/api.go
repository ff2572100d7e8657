package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/oklog/ulid/v2"
	fly "github.com/superfly/fly-go"
)

// Action names an operation of the Machines API, for faults and rate limits.
type Action = string

const (
	ActionApp           Action = "app"
	ActionList          Action = "list"
	ActionCreate        Action = "create"
	ActionGet           Action = "get"
	ActionStart         Action = "start"
	ActionStop          Action = "stop"
	ActionRestart       Action = "restart"
	ActionSuspend       Action = "suspend"
	ActionDestroy       Action = "destroy"
	ActionWait          Action = "wait"
	ActionExec          Action = "exec"
	ActionLease         Action = "lease"
	ActionMetadata      Action = "metadata"
	ActionWriteMetadata Action = "write_metadata"
)

// errClosed is what is left to say while the Fly shuts down.
var errClosed = &apiError{status: http.StatusServiceUnavailable, message: "the local fly is closing"}

// apiError is an answer other than 200.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

func refuse(status int, format string, args ...any) error {
	return &apiError{status: status, message: fmt.Sprintf(format, args...)}
}

// api is the Machines API of one app.
type api struct {
	fly    *Fly
	limits *rateLimits
	routes *http.ServeMux
}

// endpoint answers with a value for the body, nil for none.
type endpoint func(r *http.Request) (any, error)

// machineEndpoint is an endpoint of a machine that exists.
type machineEndpoint func(r *http.Request, m *machine) (any, error)

func newAPI(f *Fly) *api {
	a := &api{fly: f, limits: newRateLimits(!f.options.NoRateLimits), routes: http.NewServeMux()}
	const app, machine = "/v1/apps/{app}", "/v1/apps/{app}/machines/{id}"
	a.route("GET "+app, ActionApp, powerExec, a.app)
	a.route("GET "+app+"/machines", ActionList, powerExec, a.list)
	a.route("POST "+app+"/machines", ActionCreate, powerDeploy, a.create)
	a.machineRoute("GET "+machine, ActionGet, powerExec, a.get)
	a.machineRoute("DELETE "+machine, ActionDestroy, powerDeploy, a.leased(a.destroy))
	a.machineRoute("POST "+machine+"/start", ActionStart, powerDeploy, a.leased(a.start))
	a.machineRoute("POST "+machine+"/stop", ActionStop, powerDeploy, a.leased(a.stop))
	a.machineRoute("POST "+machine+"/restart", ActionRestart, powerDeploy, a.leased(a.restart))
	a.machineRoute("POST "+machine+"/suspend", ActionSuspend, powerDeploy, a.leased(a.suspend))
	a.machineRoute("GET "+machine+"/wait", ActionWait, powerExec, a.wait)
	a.machineRoute("POST "+machine+"/exec", ActionExec, powerExec, a.exec)
	a.machineRoute("GET "+machine+"/lease", ActionLease, powerDeploy, a.findLease)
	a.machineRoute("POST "+machine+"/lease", ActionLease, powerDeploy, a.acquireLease)
	a.machineRoute("DELETE "+machine+"/lease", ActionLease, powerDeploy, a.releaseLease)
	a.machineRoute("GET "+machine+"/metadata", ActionMetadata, powerExec, a.metadata)
	a.machineRoute("GET "+machine+"/metadata/{key}", ActionMetadata, powerExec, a.metadataValue)
	a.machineRoute("POST "+machine+"/metadata/{key}", ActionWriteMetadata, powerDeploy, a.setMetadata)
	a.machineRoute("DELETE "+machine+"/metadata/{key}", ActionWriteMetadata, powerDeploy, a.deleteMetadata)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("fly-request-id", ulid.Make().String()+"-local")
	a.routes.ServeHTTP(w, r)
}

// route lets a request meet, in this order: faults, the token's check, the app's, the rate limits, the work.
func (a *api) route(pattern string, action Action, needs power, work endpoint) {
	target := func(r *http.Request) Target {
		return Target{Service: API, Action: action, Subject: r.PathValue("id")}
	}
	a.routes.Handle(pattern, a.fly.faults.decorate(target, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, err := a.admitted(r, action, needs, work)
		if err != nil {
			writeError(w, err)
			return
		}
		writeResult(w, result)
	})))
}

func (a *api) admitted(r *http.Request, action Action, needs power, work endpoint) (any, error) {
	switch has := a.fly.tokens.of(r); {
	case has == powerNone:
		return nil, refuse(http.StatusUnauthorized, "Authenticate: token validation error")
	case has < needs:
		return nil, refuse(http.StatusForbidden, "unauthorized")
	}
	if r.PathValue("app") != a.fly.options.App {
		return nil, refuse(http.StatusNotFound, "app not found")
	}
	if !a.limits.allow(action, r.PathValue("id")) {
		return nil, refuse(http.StatusTooManyRequests, "rate limit exceeded for %s", action)
	}
	return work(r)
}

func (a *api) machineRoute(pattern string, action Action, needs power, work machineEndpoint) {
	a.route(pattern, action, needs, func(r *http.Request) (any, error) {
		m, ok := a.fly.machines.get(r.PathValue("id"))
		if !ok {
			return nil, refuse(http.StatusNotFound, "machine not found")
		}
		if r.Method != http.MethodGet && m.snapshot().HostStatus != fly.HostStatusOk {
			return nil, refuse(http.StatusRequestTimeout, "deadline_exceeded: the machine's host did not answer")
		}
		return work(r, m)
	})
}

// created is a result that answers with 201.
type created struct{ body any }

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
	answer(w, status, body)
}

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var known *apiError
	if errors.As(err, &known) {
		status = known.status
	}
	body, _ := json.Marshal(map[string]string{"error": err.Error()}) // a map of strings always marshals
	answer(w, status, body)
}

// readBody decodes a JSON body. No body at all leaves into as it is.
func readBody(r *http.Request, into any) error {
	err := json.NewDecoder(r.Body).Decode(into)
	if err != nil && !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "invalid_argument: %v", err)
	}
	return nil
}
