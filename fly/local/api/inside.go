package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"time"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/machine"
)

// psWithin bounds the look at a machine's processes.
const psWithin = 10 * time.Second

// processes are those of a machine. Source: the API's description, list processes.
func (a *API) processes(r *http.Request, m *machine.Machine) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), psWithin)
	defer cancel()
	all, err := m.Processes(ctx)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	by, ok := map[string]func(a, b fly.ProcessStat) int{
		"":    func(a, b fly.ProcessStat) int { return cmp.Compare(a.Pid, b.Pid) },
		"pid": func(a, b fly.ProcessStat) int { return cmp.Compare(a.Pid, b.Pid) },
		"rss": func(a, b fly.ProcessStat) int { return cmp.Compare(a.Rss, b.Rss) },
	}[query.Get("sort_by")]
	if !ok {
		return nil, refuse(http.StatusBadRequest, "invalid_argument: sort_by %q", query.Get("sort_by"))
	}
	slices.SortFunc(all, by)
	if query.Get("order") == "desc" {
		slices.Reverse(all)
	}
	return all, nil
}

// signal sends a signal to a machine's entrypoint: by its name, as the API's description has it, or by its number, as fly-go sends it
// (flaps_machines.go: Kill).
func (a *API) signal(r *http.Request, m *machine.Machine) (any, error) {
	var input struct {
		Signal any `json:"signal"`
	}
	if err := readBody(r, &input); err != nil {
		return nil, err
	}
	name := fmt.Sprint(input.Signal)
	if number, ok := input.Signal.(float64); ok {
		name = machine.SignalName(syscall.Signal(number))
	}
	return okAnswer{OK: true}, m.Signal(name)
}
