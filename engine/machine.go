package engine

import "time"

// Machine is a Fly Machine as a deploy sees it. States are Fly's: created, started, stopped, suspended, failed, ….
type Machine struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Region       string    `json:"region"`
	State        string    `json:"state"`
	ProcessGroup string    `json:"process_group,omitempty"`
	Image        string    `json:"image_ref,omitempty"` // repository:tag
	Digest       string    `json:"image_digest,omitempty"`
	InstanceID   string    `json:"instance_id,omitempty"` // changes with every update of the machine
	HostStatus   string    `json:"host_status,omitempty"` // ok, unknown, unreachable
	ChecksPassed int       `json:"checks_passed"`
	ChecksTotal  int       `json:"checks_total"`
	UpdatedAt    time.Time `json:"updated_at,omitzero"`
	// Temporary is the upgrade id of the deploy that created this machine as its orchestrator, else "".
	Temporary string `json:"temporary,omitempty"`
	// LeftOut says why a deploy never touches this machine ("flyctl's release command", …), else "".
	LeftOut string `json:"left_out,omitempty"`
}

// Where names the machine in errors.
func (m Machine) Where() string { return "machine " + m.ID }

// Fly's machine states that a deploy tells apart; see the Machines API's documentation.
const (
	StateStarted   = "started"
	StateStopped   = "stopped"
	StateSuspended = "suspended"
)

// WhyOut says why a machine cannot take part in a deploy now, "" where it can.
func WhyOut(m Machine) string {
	switch {
	case m.LeftOut != "":
		return m.LeftOut
	case m.HostStatus == "unreachable":
		return "its host is unreachable"
	case m.State == StateStarted:
		return ""
	case m.State == StateStopped:
		return "stopped: it takes the upgrade at its next boot"
	case m.State == StateSuspended:
		return "suspended: it wakes in old code; start it and upgrade it, or stop it"
	default:
		return "its state is " + m.State
	}
}

// Why machines are left out that could be upgraded otherwise.
const (
	LeftOutNoVM        = "runs no Elixir release"
	LeftOutNotSelected = "not selected"
)

// byID finds machines of a list by their ids.
func ByID(all []Machine) map[string]Machine {
	found := make(map[string]Machine, len(all))
	for _, m := range all {
		found[m.ID] = m
	}
	return found
}

// baseImage is the image that most of the machines run; on a tie, the one of the machine that comes first.
func BaseImage(machines []Machine) string {
	count := map[string]int{}
	best := ""
	for _, m := range machines {
		name, _ := splitDigest(m.Image)
		count[name]++
		if count[name] > count[best] {
			best = name
		}
	}
	for _, m := range machines {
		if name, _ := splitDigest(m.Image); name == best {
			return m.Image
		}
	}
	return ""
}
