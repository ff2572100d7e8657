package fly

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"flydeploy/engine"
)

// containers knows in which container of a machine commands run. Without a name the platform would pick one, and not always the
// same. Source: superfly/flyctl 5077.
type containers struct {
	wanted string // "" if nobody has named one
	mu     sync.Mutex
	of     map[string][]string // names by machine; only machines that have any
}

// learn takes the names from a list of machines.
func (c *containers) learn(machines []*listedMachine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string][]string{}
	}
	for _, m := range machines {
		config := m.GetConfig()
		if config == nil {
			continue
		}
		delete(c.of, m.ID)
		for _, container := range config.Containers {
			if container != nil {
				c.of[m.ID] = append(c.of[m.ID], container.Name)
			}
		}
	}
}

// choose gives the container for commands on a machine, "" for a machine without any.
func (c *containers) choose(machineID string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := c.of[machineID]
	switch {
	case len(names) == 0:
		return "", nil
	case slices.Contains(names, c.wanted):
		return c.wanted, nil
	case c.wanted == "" && len(names) == 1:
		return names[0], nil
	}
	what := "has several containers"
	if c.wanted != "" {
		what = "has no container " + c.wanted
	}
	return "", engine.NewProblem("container", fmt.Sprintf("exec on machine %s: it %s", machineID, what), nil,
		"Name the one that runs the release: --container, or container in flydeploy.toml. The machine's are "+strings.Join(names, ", ")+".")
}
