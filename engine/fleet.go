package engine

import (
	"context"
	"errors"
	"time"

	"flydeploy/engine/agent"
)

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

// TemporaryMachine describes the orchestrator: it runs nothing but a sleep, has no services, and destroys itself.
type TemporaryMachine struct {
	UpgradeID string
	Image     string
	Region    string
	// LiveFor bounds its life even when the console is killed.
	LiveFor  time.Duration
	MemoryMB int
	Env      map[string]string
}

// Fleet is the Machines API as far as a deploy needs it; package fly implements it. Errors after which the request
// may have been carried out satisfy errors.Is(err, agent.ErrUnknownOutcome).
type Fleet interface {
	// Machines lists all machines of the app in one request, destroyed ones left out.
	Machines(ctx context.Context) ([]Machine, error)
	// Exec runs command (words, no shell) on a machine, which reads stdin, never repeats it, and answers once it ended. At
	// most 60 s.
	Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (agent.Output, error)
	// CreateTemporary starts the orchestrator and waits until it is started.
	CreateTemporary(ctx context.Context, spec TemporaryMachine) (Machine, error)
	// Destroy removes a temporary machine; one that is gone is no error.
	Destroy(ctx context.Context, machineID string) error
	// MayCreate asks, without changing anything, whether the token may create and destroy machines; nil is yes. An error
	// that satisfies errors.Is(err, ErrForbidden) is no; after another one nobody knows.
	MayCreate(ctx context.Context) error
}

// ErrForbidden says that the token lacks the right, or is none.
var ErrForbidden = errors.New("the token may not do that")

// Build makes the new image and gives its reference (HOST/APP:deployment-ULID). Each line of output goes to log.
// package fly implements it with `fly deploy --build-only --push`; the local Fly with mix.
type Build func(ctx context.Context, log func(line string)) (imageRef string, err error)

// byID finds machines of a list by their ids.
func byID(all []Machine) map[string]Machine {
	found := make(map[string]Machine, len(all))
	for _, m := range all {
		found[m.ID] = m
	}
	return found
}
