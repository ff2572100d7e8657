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
	chosen map[string]string   // by machine: the one of several in which an Erlang VM was found
}

// learn takes the names from what a list tells of a machine.
func (c *containers) learn(m *listedMachine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string][]string{}
	}
	config := m.GetConfig()
	if config == nil {
		return
	}
	delete(c.of, m.ID)
	for _, container := range config.Containers {
		if container != nil {
			c.of[m.ID] = append(c.of[m.ID], container.Name)
		}
	}
}

// choose gives the container for commands on a machine, "" for a machine without any. Of several, of which nobody has named one, it is
// the only one in which runs says that a release runs.
func (c *containers) choose(machineID string, runs func(container string) (bool, error)) (string, error) {
	c.mu.Lock()
	names, chosen := c.of[machineID], c.chosen[machineID]
	c.mu.Unlock()
	switch {
	case len(names) == 0:
		return "", nil
	case slices.Contains(names, c.wanted):
		return c.wanted, nil
	case c.wanted != "":
		return "", containerProblem(machineID, "has no container "+c.wanted, names)
	case len(names) == 1:
		return names[0], nil
	case slices.Contains(names, chosen):
		return chosen, nil
	}
	return c.find(machineID, names, runs)
}

// find looks for the release in each of a machine's containers.
func (c *containers) find(machineID string, names []string, runs func(container string) (bool, error)) (string, error) {
	var with []string
	for _, name := range names {
		found, err := runs(name)
		if err != nil {
			return "", err
		}
		if found {
			with = append(with, name)
		}
	}
	switch len(with) {
	case 0:
		return "", containerProblem(machineID, "has several containers, and an Erlang VM runs in none of them", names)
	case 1:
	default:
		return "", containerProblem(machineID, "has several containers with an Erlang VM: "+strings.Join(with, ", "), names)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chosen == nil {
		c.chosen = map[string]string{}
	}
	c.chosen[machineID] = with[0]
	return with[0], nil
}

func containerProblem(machineID, what string, names []string) error {
	return engine.NewProblem("container", fmt.Sprintf("exec on machine %s: it %s", machineID, what), nil,
		"Name the one that runs the release: --container, or container in flydeploy.toml. The machine's are "+strings.Join(names, ", ")+".")
}
