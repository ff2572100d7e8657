package engine

import (
	"context"
	"errors"
	"time"
)

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
// may have been carried out satisfy errors.Is(err, ErrUnknownOutcome).
type Fleet interface {
	// Machines lists all machines of the app in one request, destroyed ones left out.
	Machines(ctx context.Context) ([]Machine, error)
	// Exec runs command (words, no shell) on a machine, which reads stdin, never repeats it, and answers once it ended. At
	// most 60 s.
	Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (Output, error)
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

// Output is the answer of one exec. Stdout and Stderr may be cut by the platform: look for a marker of your own,
// exit code 0 alone is no success.
type Output struct {
	Stdout   string
	Stderr   string
	ExitCode int
}

// ErrUnknownOutcome marks errors after which the request may have been carried out: 408, 5xx, a broken connection.
var ErrUnknownOutcome = errors.New("outcome unknown")
