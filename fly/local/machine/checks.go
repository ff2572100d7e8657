package machine

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/isolation"
)

// Fly's defaults for checks that configure none.
const (
	defaultCheckInterval = 15 * time.Second
	defaultCheckTimeout  = 10 * time.Second
)

// check is a health check from a machine's configuration: of the machine, or of one of its services.
type check struct {
	name     string // as the API shows it
	port     int
	path     string // of an HTTP check; empty for TCP
	method   string
	interval time.Duration
	timeout  time.Duration
	grace    time.Duration
}

// checksOf reads the checks of the machine and of its services.
func checksOf(config *fly.MachineConfig) []check {
	var checks []check
	for name, c := range config.Checks {
		checks = append(checks, newCheck(name, 0, fly.MachineServiceCheck{
			Port: c.Port, Type: c.Type, HTTPPath: c.HTTPPath, HTTPMethod: c.HTTPMethod,
			Interval: c.Interval, Timeout: c.Timeout, GracePeriod: c.GracePeriod,
		}))
	}
	for _, service := range config.Services {
		for i, c := range service.Checks {
			name := fmt.Sprintf("servicecheck-%02d-%s-%d", i, value(c.Type, "tcp"), value(c.Port, service.InternalPort))
			checks = append(checks, newCheck(name, service.InternalPort, c))
		}
	}
	slices.SortFunc(checks, func(a, b check) int { return strings.Compare(a.name, b.name) })
	return checks
}

func newCheck(name string, port int, c fly.MachineServiceCheck) check {
	made := check{
		name: name, port: value(c.Port, port), method: value(c.HTTPMethod, http.MethodGet),
		interval: value(c.Interval, fly.Duration{Duration: defaultCheckInterval}).Duration,
		timeout:  value(c.Timeout, fly.Duration{Duration: defaultCheckTimeout}).Duration,
		grace:    value(c.GracePeriod, fly.Duration{}).Duration,
	}
	if value(c.Type, "tcp") == "http" {
		made.path = value(c.HTTPPath, "/")
	}
	return made
}

// value is what a pointer points to, or else a default.
func value[T any](pointer *T, otherwise T) T {
	if pointer == nil {
		return otherwise
	}
	return *pointer
}

// watch runs a check on a boot until ctx ends.
func (m *Machine) watch(ctx context.Context, vm isolation.VM, c check) {
	wait := time.NewTimer(c.grace)
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
		if m.running() == vm { // a suspended machine is not checked
			output, err := c.run(ctx, vm)
			if ctx.Err() != nil {
				return
			}
			m.setCheck(c.name, output, err)
		}
		wait.Reset(c.interval)
	}
}

// run does a check once. What it says is shown to operators.
func (c check) run(ctx context.Context, vm isolation.VM) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := vm.Dial(ctx, c.port)
	if err != nil {
		return "", fmt.Errorf("connect to port %d: %w", c.port, err)
	}
	if c.path == "" {
		return "Success", conn.Close()
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	request, err := http.NewRequestWithContext(ctx, c.method, fmt.Sprintf("http://127.0.0.1:%d%s", c.port, c.path), nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return string(body), err
}

// uncheckedYet is how checks are shown before they have run in a boot.
func uncheckedYet(config *fly.MachineConfig) []*fly.MachineCheckStatus {
	now := time.Now().UTC()
	var statuses []*fly.MachineCheckStatus
	for _, c := range checksOf(config) {
		statuses = append(statuses, &fly.MachineCheckStatus{
			Name: c.name, Status: fly.Warning, Output: "the machine hasn't started", UpdatedAt: &now,
		})
	}
	return statuses
}

func (m *Machine) setCheck(name, output string, err error) {
	status := fly.Passing
	if err != nil {
		status, output = fly.Critical, err.Error()
	}
	now := time.Now().UTC()
	m.mu.Lock()
	defer m.mu.Unlock()
	checks := append([]*fly.MachineCheckStatus(nil), m.record.Checks...) // snapshots keep theirs
	for i, c := range checks {
		if c.Name == name {
			checks[i] = &fly.MachineCheckStatus{Name: name, Status: status, Output: output, UpdatedAt: &now}
		}
	}
	m.record.Checks = checks
	m.remember()
}
