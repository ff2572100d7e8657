package engine

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// TemporaryMachine describes the machine that packs the release: it only sleeps, has no services, and destroys itself.
type TemporaryMachine struct {
	UpgradeID string
	Image     string
	// LiveFor is how long it lives even if the console is killed.
	LiveFor time.Duration
	// UnderLock tells the lock's next owner that the machine is nobody's any more.
	UnderLock bool
	Temporary
}

// Temporary says where temporary machines run, and with what.
type Temporary struct {
	Regions  []string          // Fly is asked for one in each of them in turn; AnyRegion leaves the choice to Fly
	Size     string            // Fly's name of it; "" means shared-cpu-1x
	MemoryMB int               // 0 means that of the size, and at least 1024
	Env      map[string]string // added to the image's environment and the app's secrets
}

// AnyRegion stands for every region of Fly's.
const AnyRegion = "any"

// For completes t for an app: if it names no region, those of the app's machines are asked first, the one with most of them before
// the others, and then any other one.
func (t Temporary) For(machines []Machine) Temporary {
	if len(t.Regions) > 0 {
		return t
	}
	count := map[string]int{}
	for _, m := range machines {
		if m.Region != "" {
			count[m.Region]++
		}
	}
	t.Regions = slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	t.Regions = append(t.Regions, AnyRegion)
	return t
}

// Fleet is the part of the Machines API that a deploy needs; package fly implements it. An error after which the request may
// still have been carried out satisfies errors.Is(err, ErrUnknownOutcome).
type Fleet interface {
	// Machines lists all machines of the app that are not destroyed, in one request.
	Machines(ctx context.Context) ([]Machine, error)
	// Exec runs command, given as words for no shell, with stdin on a machine, and answers once it has ended. It never repeats
	// a command. timeout is at most 60 s.
	Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (Output, error)
	// CreateTemporary creates a temporary machine in the first of the regions that has room for it, and waits until it has started.
	CreateTemporary(ctx context.Context, spec TemporaryMachine) (Machine, error)
	// Destroy removes a temporary machine. It is not an error if the machine is gone already.
	Destroy(ctx context.Context, machineID string) error
	// MayCreate asks, without changing anything, whether the token may create and destroy machines. nil means yes, and an
	// error that satisfies errors.Is(err, ErrForbidden) means no; any other error leaves it unknown.
	MayCreate(ctx context.Context) error
}

// ErrForbidden marks errors that say that the token lacks a right, or is not a token.
var ErrForbidden = errors.New("the token may not do that")

// Build makes the new image and gives its reference (HOST/APP:deployment-ULID). Each line of output goes to log. Package
// fly implements it with `fly deploy --build-only --push`; the local Fly with mix.
type Build func(ctx context.Context, log func(line string)) (imageRef string, err error)

// Cold gives an image to all of an app's machines as a cold deploy, and returns once it has ended. Package fly implements it with
// `fly deploy --image`.
type Cold func(ctx context.Context, image string, log func(line string)) error

// Output is the answer of one exec. The platform may truncate Stdout and Stderr, so exit code 0 alone does not prove success:
// have the command print a marker.
type Output struct {
	Stdout   string
	Stderr   string
	ExitCode int
}

// ErrUnknownOutcome marks errors after which the request may have been carried out: 408, 5xx, a broken connection.
var ErrUnknownOutcome = errors.New("outcome unknown")

// Permitted gives a context under which a request is sent only while permit lives, also where the client sends it again by
// itself; ctx bounds the wait for its answer, and may live longer.
func Permitted(ctx, permit context.Context) context.Context {
	return context.WithValue(ctx, permitKey{}, permit)
}

// MaySend gives why a request with this context is not to be sent any more, nil where it is.
func MaySend(ctx context.Context) error {
	if permit, ok := ctx.Value(permitKey{}).(context.Context); ok {
		return context.Cause(permit)
	}
	return nil
}

type permitKey struct{}
