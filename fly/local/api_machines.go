package local

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	fly "github.com/superfly/fly-go"
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

func (a *api) app(*http.Request) (any, error) {
	app := appAnswer{ID: a.fly.options.App, Name: a.fly.options.App, Status: "deployed"}
	app.Organization.Name, app.Organization.Slug = a.fly.options.Org, a.fly.options.Org
	for _, m := range a.fly.machines.all() {
		if !m.oneOf(fly.MachineStateDestroyed) {
			app.MachineCount++
		}
	}
	return app, nil
}

func (a *api) list(r *http.Request) (any, error) {
	query := r.URL.Query()
	machines := []*fly.Machine{}
	for _, m := range a.fly.machines.listed() {
		if listed(m, query) {
			machines = append(machines, shown(m))
		}
	}
	return machines, nil
}

// listed applies ?region, ?include_deleted, ?state and ?metadata.KEY.
func listed(m *fly.Machine, query url.Values) bool {
	if m.State == fly.MachineStateDestroyed && query.Get("include_deleted") != "true" {
		return false
	}
	for key := range query {
		want := query.Get(key)
		name, isMetadata := strings.CutPrefix(key, "metadata.")
		switch {
		case isMetadata && m.Config.Metadata[name] != want,
			key == "region" && m.Region != want,
			key == "state" && m.State != want:
			return false
		}
	}
	return true
}

func (a *api) create(r *http.Request) (any, error) {
	var input fly.LaunchMachineInput
	if err := readBody(r, &input); err != nil {
		return nil, err
	}
	m, err := a.fly.create(r.Context(), input)
	if err != nil {
		return nil, err
	}
	record := m.snapshot()
	if input.LeaseTTL > 0 {
		granted, err := m.acquire(time.Duration(input.LeaseTTL)*time.Second, "", "")
		if err != nil {
			return nil, err
		}
		record.LeaseNonce = granted.Nonce
	}
	return record, nil
}

func (a *api) get(_ *http.Request, m *machine) (any, error) { return shown(m.snapshot()), nil }

type okAnswer struct {
	OK bool `json:"ok"`
}

func (a *api) start(_ *http.Request, m *machine) (any, error) {
	previous, _ := m.state()
	response := fly.MachineStartResponse{Status: "success", PreviousState: previous}
	if previous == fly.MachineStateStarted || previous == stateStarting {
		return response, nil
	}
	from := []string{fly.MachineStateCreated, fly.MachineStateStopped, fly.MachineStateSuspended, stateFailed}
	return response, m.order(ActionStart, stateStarting, from, func() { a.fly.machines.start(a.fly.background, m) })
}

func (a *api) stop(r *http.Request, m *machine) (any, error) {
	var input fly.StopMachineInput
	if err := readBody(r, &input); err != nil {
		return nil, err
	}
	how, err := stoppingOf(m.snapshot().Config, input.Signal, input.Timeout.Duration)
	if err != nil {
		return nil, err
	}
	if m.oneOf(fly.MachineStateStopped, stateStopping) {
		return okAnswer{OK: true}, nil
	}
	from := []string{fly.MachineStateStarted, fly.MachineStateSuspended, stateStarting, stateFailed}
	return okAnswer{OK: true}, m.order(ActionStop, stateStopping, from, func() { a.fly.machines.stop(a.fly.background, m, how) })
}

func (a *api) restart(r *http.Request, m *machine) (any, error) {
	query := r.URL.Query()
	var timeout time.Duration
	if given := query.Get("timeout"); given != "" {
		var err error
		if timeout, err = time.ParseDuration(given); err != nil {
			return nil, refuse(http.StatusBadRequest, "invalid_argument: timeout: %v", err)
		}
	}
	how, err := stoppingOf(m.snapshot().Config, query.Get("signal"), timeout)
	if err != nil {
		return nil, err
	}
	if query.Get("force_stop") == "true" {
		how.timeout = 0
	}
	from := []string{fly.MachineStateStarted, fly.MachineStateStopped, fly.MachineStateSuspended, fly.MachineStateCreated, stateFailed}
	return okAnswer{OK: true}, m.order(ActionRestart, stateRestarting, from, func() { a.fly.machines.restart(a.fly.background, m, how) })
}

func (a *api) suspend(_ *http.Request, m *machine) (any, error) {
	from := []string{fly.MachineStateStarted}
	return okAnswer{OK: true}, m.order(ActionSuspend, stateSuspending, from, func() { a.fly.machines.suspend(m) })
}

func (a *api) destroy(r *http.Request, m *machine) (any, error) {
	query := r.URL.Query()
	from := []string{fly.MachineStateStopped, fly.MachineStateSuspended, fly.MachineStateCreated, stateFailed}
	if query.Get("force") == "true" || query.Get("kill") == "true" {
		from = append(from, fly.MachineStateStarted, stateStarting, stateStopping, stateRestarting, stateSuspending)
	}
	if m.oneOf(fly.MachineStateDestroyed, fly.MachineStateDestroying) {
		return nil, refuse(http.StatusNotFound, "machine not found")
	}
	return okAnswer{OK: true}, m.order(ActionDestroy, fly.MachineStateDestroying, from, func() { a.fly.machines.destroy(m) })
}

func (a *api) wait(r *http.Request, m *machine) (any, error) {
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
		if instance := query.Get(name); instance != "" && instance != m.record.InstanceID { // never changes
			return nil, refuse(http.StatusBadRequest, "invalid_argument: machine %s has no instance %s", m.id(), instance)
		}
	}
	wanted := query["state"]
	if len(wanted) == 0 {
		wanted = []string{fly.MachineStateStarted}
	}
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		state, changed := m.state()
		for _, want := range wanted {
			if state == want {
				return okAnswer{OK: true}, nil
			}
		}
		select {
		case <-changed:
		case <-deadline.C:
			return nil, refuse(http.StatusRequestTimeout, "deadline_exceeded: machine failed to reach desired state, %s, currently %s", strings.Join(wanted, " or "), state)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-a.fly.background.Done():
			return nil, errClosed
		}
	}
}
