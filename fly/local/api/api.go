// Package api is the Machines API of one app, in the wire format of https://api.machines.dev as fly-go v0.5.0 speaks it.
package api

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/oklog/ulid/v2"
	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/fault"
	"flydeploy/fly/local/machine"
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
	ActionUpdate        Action = "update"
	ActionCordon        Action = "cordon"
	ActionWait          Action = "wait"
	ActionEvents        Action = "events"
	ActionSecrets       Action = "secrets"
	ActionVolumes       Action = "volumes"
	ActionExec          Action = "exec"
	ActionLease         Action = "lease"
	ActionMetadata      Action = "metadata"
	ActionWriteMetadata Action = "write_metadata"
	ActionProcesses     Action = "ps"
	ActionSignal        Action = "signal"
	ActionLogs          Action = "logs"
)

// Config is what an API needs.
type Config struct {
	App          string // the only one that the API knows
	Org          string // its organisation's slug
	Tokens       Tokens
	Machines     *machine.Fleet
	Faults       *fault.Faults // meet the requests first
	NoRateLimits bool
	// Watch sees every request that meets no fault, and its answer; nil for nobody.
	Watch func(http.Handler) http.Handler
}

// API answers the requests of clients.
type API struct {
	config   Config
	limits   *rateLimits
	leases   leases
	lag      atomic.Int64 // of lists, a time.Duration
	slow     atomic.Int64 // how long hosts do not know each other's new machines, a time.Duration
	host     string       // the cookie's value
	cordoned sync.Map     // machine IDs
	routes   *http.ServeMux
}

// endpoint answers with a value for the body, nil for none.
type endpoint func(r *http.Request) (any, error)

// machineEndpoint is an endpoint of a machine that exists.
type machineEndpoint func(r *http.Request, m *machine.Machine) (any, error)

// New makes an API of an app's machines.
func New(config Config) *API {
	a := &API{
		config: config, limits: newRateLimits(!config.NoRateLimits), leases: leases{by: map[string]lease{}},
		host: rand.Text(), routes: http.NewServeMux(),
	}
	const app, one = "/v1/apps/{app}", "/v1/apps/{app}/machines/{id}"
	a.route("GET "+app, ActionApp, powerExec, a.app)
	a.route("GET "+app+"/machines", ActionList, powerExec, a.list)
	a.route("POST "+app+"/machines", ActionCreate, powerDeploy, a.create)
	a.route("GET "+app+"/secrets", ActionSecrets, powerDeploy, a.secrets)
	a.route("GET /api/v1/apps/{app}/logs", ActionLogs, powerExec, a.logs)
	a.route("GET "+app+"/volumes", ActionVolumes, powerDeploy, a.volumes)
	a.machineRoute("GET "+one+"/events", ActionEvents, powerExec, a.events)
	a.machineRoute("GET "+one, ActionGet, powerExec, a.get)
	a.machineRoute("POST "+one, ActionUpdate, powerDeploy, a.leased(a.update))
	a.machineRoute("DELETE "+one, ActionDestroy, powerDeploy, a.leased(a.destroy))
	a.machineRoute("POST "+one+"/start", ActionStart, powerDeploy, a.leased(a.start))
	a.machineRoute("POST "+one+"/stop", ActionStop, powerDeploy, a.leased(a.stop))
	a.machineRoute("POST "+one+"/restart", ActionRestart, powerDeploy, a.leased(a.restart))
	a.machineRoute("POST "+one+"/suspend", ActionSuspend, powerDeploy, a.leased(a.suspend))
	a.machineRoute("POST "+one+"/cordon", ActionCordon, powerDeploy, a.leased(a.cordon))
	a.machineRoute("POST "+one+"/uncordon", ActionCordon, powerDeploy, a.leased(a.uncordon))
	a.machineRoute("GET "+one+"/wait", ActionWait, powerExec, a.wait)
	a.machineRoute("POST "+one+"/exec", ActionExec, powerExec, a.exec)
	a.machineRoute("GET "+one+"/ps", ActionProcesses, powerExec, a.processes)
	a.machineRoute("POST "+one+"/signal", ActionSignal, powerDeploy, a.leased(a.signal))
	a.machineRoute("GET "+one+"/lease", ActionLease, powerDeploy, a.findLease)
	a.machineRoute("POST "+one+"/lease", ActionLease, powerDeploy, a.acquireLease)
	a.machineRoute("DELETE "+one+"/lease", ActionLease, powerDeploy, a.releaseLease)
	a.machineRoute("GET "+one+"/metadata", ActionMetadata, powerExec, a.metadata)
	a.machineRoute("GET "+one+"/metadata/{key}", ActionMetadata, powerExec, a.metadataValue)
	a.machineRoute("POST "+one+"/metadata/{key}", ActionWriteMetadata, powerDeploy, a.setMetadata)
	a.machineRoute("DELETE "+one+"/metadata/{key}", ActionWriteMetadata, powerDeploy, a.deleteMetadata)
	a.routes.HandleFunc("POST /graphql", a.graphql)
	a.routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, refuse(http.StatusNotFound, "not found"))
	})
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("fly-request-id", ulid.Make().String()+"-local")
	a.setAffinity(w, r)
	a.routes.ServeHTTP(w, r)
}

// route sends a request through, in this order: the faults, the checks of token and app, the rate limits, the work.
func (a *API) route(pattern string, action Action, needs power, work endpoint) {
	target := func(r *http.Request) fault.Target {
		return fault.Target{Service: fault.API, Action: action, Subject: r.PathValue("id")}
	}
	var answer http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, err := a.admitted(r, action, needs, work)
		if err != nil {
			writeError(w, err)
			return
		}
		writeResult(w, result)
	})
	if a.config.Watch != nil {
		answer = a.config.Watch(answer)
	}
	a.routes.Handle(pattern, a.config.Faults.Decorate(target, answer))
}

func (a *API) admitted(r *http.Request, action Action, needs power, work endpoint) (any, error) {
	switch has := a.config.Tokens.of(r); {
	case has == powerNone:
		return nil, refuse(http.StatusUnauthorized, "Authenticate: token validation error")
	case has < needs:
		return nil, refuse(http.StatusForbidden, "unauthorized")
	}
	if r.PathValue("app") != a.config.App {
		return nil, refuse(http.StatusNotFound, "app not found")
	}
	if !a.limits.allow(limited(action, r), r.PathValue("id")) {
		return nil, refuse(http.StatusTooManyRequests, "rate limit exceeded for %s", action)
	}
	return work(r)
}

// limited is what a request counts as: flyctl takes, finds and releases leases faster than one action may be.
func limited(action Action, r *http.Request) Action {
	if action == ActionLease {
		return action + " " + r.Method
	}
	return action
}

func (a *API) machineRoute(pattern string, action Action, needs power, work machineEndpoint) {
	a.route(pattern, action, needs, func(r *http.Request) (any, error) {
		m, ok := a.config.Machines.Get(r.PathValue("id"))
		if !ok || !a.isKnown(m, r) {
			return nil, refuse(http.StatusNotFound, "machine not found")
		}
		if r.Method != http.MethodGet && m.Snapshot().HostStatus != fly.HostStatusOk {
			return nil, refuse(http.StatusRequestTimeout, "deadline_exceeded: the machine's host did not answer")
		}
		return work(r, m)
	})
}

// readBody decodes a JSON body. No body at all leaves into as it is.
func readBody(r *http.Request, into any) error {
	err := json.NewDecoder(r.Body).Decode(into)
	if err != nil && !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "invalid_argument: %v", err)
	}
	return nil
}
