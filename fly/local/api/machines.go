package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/machine"
)

// appAnswer is what Fly tells of an app: flaps.App of fly-go, without the client that comes with it.
type appAnswer struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Status       string `json:"status"`
	MachineCount int    `json:"machine_count"`
	Organization struct {
		Name string `json:"name"`
		Slug string `json:"slug"`
	} `json:"organization"`
}

func (a *API) app(*http.Request) (any, error) {
	app := appAnswer{ID: a.config.App, Name: a.config.App, Status: "deployed"}
	app.Organization.Name, app.Organization.Slug = a.config.Org, a.config.Org
	for _, m := range a.config.Machines.All() {
		if !m.Is(fly.MachineStateDestroyed) {
			app.MachineCount++
		}
	}
	return app, nil
}

func (a *API) list(r *http.Request) (any, error) {
	query := r.URL.Query()
	machines := []listed{}
	for _, m := range a.listed() {
		if !isWanted(m, query) {
			continue
		}
		entry := listed{Machine: shown(m), Cordoned: a.isCordoned(m.ID)}
		if query.Get("summary") == "true" {
			entry.Machine = summary(m)
		}
		if query.Get("include_leases") == "true" {
			entry.Lease = a.listedLease(m)
		}
		machines = append(machines, entry)
	}
	return machines, nil
}

// listed is a machine in a list, with what fly-go v0.5.0 does not know of.
type listed struct {
	*fly.Machine
	Cordoned bool         `json:"cordoned,omitempty"`
	Lease    *listedLease `json:"lease,omitempty"`
}

// summary leaves out of a machine what takes most of a list. Source: the API's description, list machines.
func summary(record *fly.Machine) *fly.Machine {
	record.Config, record.IncompleteConfig, record.Checks, record.Events, record.HostStatus, record.LeaseNonce = nil, nil, nil, nil, "", ""
	return record
}

func (a *API) events(r *http.Request, m *machine.Machine) (any, error) {
	all := m.Snapshot().Events
	if given := r.URL.Query().Get("limit"); given != "" {
		limit, err := strconv.Atoi(given)
		if err != nil || limit < 1 {
			return nil, refuse(http.StatusBadRequest, "invalid_argument: limit must be at least 1")
		}
		all = all[:min(limit, len(all))]
	}
	return all, nil
}

// volumes: no machine has any.
func (a *API) volumes(*http.Request) (any, error) { return []any{}, nil }

type secret struct {
	Name string `json:"name"`
}

// secrets gives their names; the values are the machines'.
func (a *API) secrets(*http.Request) (any, error) {
	answer := map[string][]secret{"secrets": {}}
	for _, name := range a.config.Machines.SecretNames() {
		answer["secrets"] = append(answer["secrets"], secret{name})
	}
	return answer, nil
}

// cordon keeps the proxy's requests from a machine; uncordon lets them come again.
func (a *API) cordon(_ *http.Request, m *machine.Machine) (any, error) {
	a.cordoned.Store(m.ID(), true)
	return okAnswer{OK: true}, nil
}

func (a *API) uncordon(_ *http.Request, m *machine.Machine) (any, error) {
	a.cordoned.Delete(m.ID())
	return okAnswer{OK: true}, nil
}

func (a *API) isCordoned(id string) bool {
	_, cordoned := a.cordoned.Load(id)
	return cordoned
}

// isWanted applies ?region, ?include_deleted, ?state and ?metadata.KEY.
func isWanted(m *fly.Machine, query url.Values) bool {
	if m.State == fly.MachineStateDestroyed && query.Get("include_deleted") != "true" {
		return false
	}
	for key := range query {
		want := query.Get(key)
		name, isMetadata := strings.CutPrefix(key, "metadata.")
		switch {
		case isMetadata && m.Config.Metadata[name] != want,
			key == "region" && m.Region != want,
			key == "state" && !slices.Contains(strings.Split(want, ","), m.State):
			return false
		}
	}
	return true
}

func (a *API) create(r *http.Request) (any, error) {
	var input fly.LaunchMachineInput
	if err := readBody(r, &input); err != nil {
		return nil, err
	}
	m, err := a.config.Machines.Create(r.Context(), input)
	if err != nil {
		return nil, err
	}
	record := m.Snapshot()
	if input.LeaseTTL > 0 {
		granted, err := a.leases.acquire(m.ID(), time.Duration(input.LeaseTTL)*time.Second, "", a.user(), "")
		if err != nil {
			return nil, err
		}
		record.LeaseNonce = granted.nonce
	}
	return record, nil
}

// update answers at once, with the instance that the machine is about to be.
func (a *API) update(r *http.Request, m *machine.Machine) (any, error) {
	var input fly.LaunchMachineInput
	if err := readBody(r, &input); err != nil {
		return nil, err
	}
	if err := a.config.Machines.Update(r.Context(), m, input); err != nil {
		return nil, err
	}
	return m.Snapshot(), nil
}

func (a *API) get(_ *http.Request, m *machine.Machine) (any, error) { return shown(m.Snapshot()), nil }

// shown is a machine as the API shows it: without its configuration where its host does not answer.
func shown(record *fly.Machine) *fly.Machine {
	if record.HostStatus != fly.HostStatusOk {
		record.Config, record.IncompleteConfig = nil, record.Config
	}
	return record
}

func (a *API) start(_ *http.Request, m *machine.Machine) (any, error) {
	previous := m.State()
	response := fly.MachineStartResponse{Status: "success", PreviousState: previous}
	if previous == fly.MachineStateStarted || previous == machine.StateStarting {
		return response, nil
	}
	return response, m.Start()
}

func (a *API) stop(r *http.Request, m *machine.Machine) (any, error) {
	var input fly.StopMachineInput
	if err := readBody(r, &input); err != nil {
		return nil, err
	}
	how, err := m.Stopping(input.Signal, input.Timeout.Duration)
	if err != nil {
		return nil, err
	}
	if m.Is(fly.MachineStateStopped, machine.StateStopping) {
		return okAnswer{OK: true}, nil
	}
	return okAnswer{OK: true}, m.Stop(how)
}

func (a *API) restart(r *http.Request, m *machine.Machine) (any, error) {
	query := r.URL.Query()
	var timeout time.Duration
	if given := query.Get("timeout"); given != "" {
		var err error
		if timeout, err = durationOf(given); err != nil {
			return nil, refuse(http.StatusBadRequest, "invalid_argument: timeout: %v", err)
		}
	}
	how, err := m.Stopping(query.Get("signal"), timeout)
	if err != nil {
		return nil, err
	}
	if query.Get("force_stop") == "true" {
		how.Timeout = 0
	}
	return okAnswer{OK: true}, m.Restart(how)
}

// durationOf reads a duration as Go has it, or a number of seconds. Source: the API's description, restart.
func durationOf(text string) (time.Duration, error) {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	return time.ParseDuration(text)
}

func (a *API) suspend(_ *http.Request, m *machine.Machine) (any, error) {
	return okAnswer{OK: true}, m.Suspend()
}

func (a *API) destroy(r *http.Request, m *machine.Machine) (any, error) {
	if m.Is(fly.MachineStateDestroyed, fly.MachineStateDestroying) {
		return nil, refuse(http.StatusNotFound, "machine not found")
	}
	query := r.URL.Query()
	return okAnswer{OK: true}, m.Destroy(query.Get("force") == "true" || query.Get("kill") == "true")
}

// settledStates are those that a machine stays in: the state "settled" of a wait.
var settledStates = []string{
	fly.MachineStateCreated, fly.MachineStateStarted, fly.MachineStateStopped, fly.MachineStateSuspended, machine.StateFailed, fly.MachineStateDestroyed,
}

// statesOf are the states that a wait is for, by repeated parameters or a list with commas.
func statesOf(query url.Values) []string {
	var states []string
	for _, state := range strings.Split(strings.Join(query["state"], ","), ",") {
		switch state {
		case "":
		case "settled":
			states = append(states, settledStates...)
		default:
			states = append(states, state)
		}
	}
	if len(states) == 0 {
		states = []string{fly.MachineStateStarted}
	}
	return states
}

// waited is a wait's answer. Source: the API's description, WaitMachineResponse.
type waited struct {
	OK      bool   `json:"ok"`
	State   string `json:"state"`
	Version string `json:"version"`
}

func (a *API) wait(r *http.Request, m *machine.Machine) (any, error) {
	query := r.URL.Query()
	timeout := 60 * time.Second
	if given := query.Get("timeout"); given != "" {
		seconds := 0
		if _, err := fmt.Sscan(given, &seconds); err != nil || seconds < 1 || seconds > 60 {
			return nil, refuse(http.StatusBadRequest, "invalid_argument: timeout must be between 1 and 60 seconds")
		}
		timeout = time.Duration(seconds) * time.Second
	}
	for _, name := range []string{"instance_id", "version"} {
		if instance := query.Get(name); instance != "" && instance != m.Snapshot().InstanceID {
			return nil, refuse(http.StatusBadRequest, "invalid_argument: machine %s has no instance %s", m.ID(), instance)
		}
	}
	wanted := statesOf(query)
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	state, err := m.Await(ctx, wanted...)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "deadline_exceeded: machine failed to reach desired state, %s, currently %s", strings.Join(wanted, " or "), state)
	case err != nil:
		return nil, err
	}
	return waited{OK: true, State: state, Version: m.Snapshot().InstanceID}, nil
}
