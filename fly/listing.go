package fly

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"
	"time"

	flyapi "github.com/superfly/fly-go"

	"flydeploy/engine"
	"flydeploy/text"
)

// listing reads lists of machines. That of a thousand is a megabyte, of which little is new from one look to the next: only what is new
// is decoded.
type listing struct {
	mu   sync.Mutex
	last map[string]*listed // by what the API said
}

// listed is what the API said of a machine, and what that means.
type listed struct {
	said    string
	machine engine.Machine
	exists  bool
}

// read gives the machines of a list that exist; learn is called with each of which something new is said.
func (l *listing) read(list []byte, learn func(*listedMachine)) ([]engine.Machine, error) {
	elements, err := elementsOf(list)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now, machines := make(map[string]*listed, len(elements)), make([]engine.Machine, 0, len(elements))
	for _, element := range elements {
		m, known := l.last[string(element)]
		if !known {
			var said *listedMachine
			if err := json.Unmarshal(element, &said); err != nil {
				return nil, err
			}
			m = &listed{said: string(element), exists: said != nil && !isDestroyed(said.State)}
			if m.exists {
				m.machine = said.read()
				learn(said)
			}
		}
		now[m.said] = m
		if m.exists {
			machines = append(machines, m.machine)
		}
	}
	l.last = now
	return machines, nil
}

// listedMachine is what the list tells of a machine. fly-go v0.5.0 does not know of leases and cordons.
type listedMachine struct {
	flyapi.Machine
	Cordoned bool `json:"cordoned"`
	Lease    *struct {
		Owner       string `json:"owner"`
		Description string `json:"description"`
		ExpiresAt   int64  `json:"expires_at"` // seconds
	} `json:"lease"`
}

func (m *listedMachine) read() engine.Machine {
	machine := machineOf(&m.Machine)
	machine.Cordoned = m.Cordoned
	if lease := m.Lease; lease != nil && lease.ExpiresAt > 0 {
		machine.Lease = engine.Lease{Owner: text.Line(lease.Owner), Description: text.Line(lease.Description), Until: time.Unix(lease.ExpiresAt, 0).UTC()}
	}
	return machine
}

var errNoArray = errors.New("it is no JSON array")

// elementsOf cuts the text of a JSON array into those of its elements. Whether these are JSON shows when they are decoded.
func elementsOf(array []byte) (elements [][]byte, err error) {
	array = bytes.TrimSpace(array)
	if string(array) == "null" {
		return nil, nil
	}
	if len(array) < 2 || array[0] != '[' || array[len(array)-1] != ']' {
		return nil, errNoArray
	}
	inside := array[1 : len(array)-1]
	if len(bytes.TrimSpace(inside)) == 0 {
		return nil, nil
	}
	depth, from, quoted := 0, 0, false
	for i := 0; i < len(inside); i++ {
		switch c := inside[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			elements, from = append(elements, bytes.TrimSpace(inside[from:i])), i+1
		}
	}
	return append(elements, bytes.TrimSpace(inside[from:])), nil
}
