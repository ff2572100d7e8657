package agenttest

import (
	"context"
	"slices"
	"time"

	"flydeploy/engine/agent"
)

// Kind names what a call asks for.
type Kind string

// Execs on a machine. For Wait to Finish, Call.Arg is the id of the agent's order; for StartJob and PollJob the job.
const (
	Discover      = Kind(agent.ScriptDiscover)
	StorageEnv    = Kind(agent.ScriptStorage)
	StorageConfig = Kind(agent.ScriptStorageConfig)
	ImageStorage  = Kind(agent.ScriptImage)
	Inject        = Kind(agent.ScriptOrder) // Call.Arg is the order's id
	Facts         = Kind(agent.ScriptFacts)
	LoadedCode    = Kind(agent.ScriptCode)
	ReadSettings  = Kind(agent.ScriptSettings)
	AskTrial      = Kind(agent.ScriptTrial) // Call.Arg is the deploy's id that is confirmed, "" to look
	Wait          = Kind("wait")
	Arm           = Kind("arm")
	Commit        = Kind("commit")
	Abort         = Kind("abort")
	Finish        = Kind("finish")
	StartJob      = Kind(agent.ScriptJob)
	PollJob       = Kind(agent.ScriptPoll)
	RunCommand    = Kind(agent.ScriptRun) // Call.Arg is the command
	FollowCommand = Kind(agent.ScriptOutput)
	OtherExec     = Kind("other") // words that are not the console's: exit code 127
)

// Calls of the Machines API apart from execs, and the build.
const (
	ListMachines    Kind = "machines"
	CreateTemporary Kind = "create_temporary" // Call.Arg is the image
	Destroy         Kind = "destroy"          // Call.Machine
	MayCreate       Kind = "may_create"
	TakeLease       Kind = "take_lease" // Call.Machine
	RenewLease      Kind = "renew_lease"
	ReleaseLease    Kind = "release_lease"
	Build           Kind = "build"
	ReadImage       Kind = "read_image" // of the registry; Call.Arg is the image
)

// Calls of the bucket. Call.Arg is the key, the file's name below its upgrade, or the deploy's id.
const (
	AcquireLock   Kind = "acquire_lock"
	RenewLock     Kind = "renew_lock"
	ReleaseLock   Kind = "release_lock"
	CurrentLock   Kind = "current_lock"
	LastLock      Kind = "last_lock"
	BreakLock     Kind = "break_lock"
	ReadMetadata  Kind = "read_metadata"
	WriteMetadata Kind = "write_metadata"
	WriteResult   Kind = "write_result"
	ReadResult    Kind = "read_result"
	PresignResult Kind = "presign_result"
	ListUpgrades  Kind = "list_upgrades"
	DeleteUpgrade Kind = "delete_upgrade"
	PresignPut    Kind = "presign_put"
	PresignGet    Kind = "presign_get"
	PutTarball    Kind = "put_tarball"
	GetTarball    Kind = "get_tarball"
	StatTarball   Kind = "stat_tarball"
	DeleteTarball Kind = "delete_tarball"
	TryConditions Kind = "try_conditions"
	ReadSkew      Kind = "read_skew"
)

// IsExec reports whether the call runs a command on a machine.
func (k Kind) IsExec() bool {
	return slices.Contains([]Kind{
		Discover, StorageEnv, StorageConfig, ImageStorage, Inject, Facts, LoadedCode, AskTrial, ReadSettings, Wait, Arm, Commit, Abort, Finish,
		StartJob, PollJob, RunCommand, FollowCommand, OtherExec,
	}, k)
}

// IsStorage reports whether the call is for the bucket.
func (k Kind) IsStorage() bool {
	return !k.IsExec() && !slices.Contains([]Kind{ListMachines, CreateTemporary, Destroy, MayCreate, TakeLease, RenewLease, ReleaseLease, Build}, k)
}

// of gives how long a call travels.
func (t Timing) of(k Kind) time.Duration {
	switch {
	case k == Build, k == ReadImage, k == PresignGet, k == PresignPut, k == PresignResult: // they do not
		return 0
	case k.IsStorage():
		return t.Storage
	}
	return t.Latency
}

// EntersVM reports whether the call needs a VM that answers rpc.
func (k Kind) EntersVM() bool {
	return slices.Contains([]Kind{StorageConfig, Inject, Facts, LoadedCode, AskTrial, ReadSettings}, k)
}

// IsLock reports whether the call reads or writes the deploy lock.
func (k Kind) IsLock() bool {
	return slices.Contains([]Kind{AcquireLock, RenewLock, ReleaseLock, CurrentLock, LastLock, BreakLock}, k)
}

// Call is one request of a console.
type Call struct {
	Console string // its name, "" for the world's own
	Kind    Kind
	Machine string // id, "" where the call is about none
	Arg     string
	Seen    int64 // of Wait to Finish: the seq after which news are waited for
	At      time.Time
}

// Answer is what a call gives.
type Answer struct {
	Out   Output // of an exec
	Value any    // of the others: what the port's method gives before its error
	Err   error
}

// Hook decides what a call is answered. carryOut does what was asked for, at most once; a hook that does not call it
// keeps the request from arriving. ctx is the call's, and ends with the exec's timeout. Of several hooks the last one added comes first.
type Hook func(ctx context.Context, c Call, carryOut func() Answer) Answer

// Hook adds a hook to every call from now on, and gives what removes it.
func (w *World) Hook(h Hook) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	own := &h
	w.hooks = append(w.hooks, own)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.hooks = slices.DeleteFunc(w.hooks, func(other *Hook) bool { return other == own })
	}
}

// Match says which calls are meant; a field that is not set matches all.
type Match struct {
	Kind    Kind
	Kinds   func(Kind) bool // e.g. Kind.IsExec
	Machine string
	Console string
	Arg     string
	// After is how many matching calls are left out before the first that is meant; Times bounds how many are.
	After, Times int
}

func (m Match) of(c Call) bool {
	return (m.Kind == "" || m.Kind == c.Kind) && (m.Kinds == nil || m.Kinds(c.Kind)) && (m.Machine == "" || m.Machine == c.Machine) &&
		(m.Console == "" || m.Console == c.Console) && (m.Arg == "" || m.Arg == c.Arg)
}

// On adds a hook for the calls that match.
func (w *World) On(m Match, h Hook) (remove func()) {
	n := 0 // w.mu is held
	return w.Hook(func(ctx context.Context, c Call, carryOut func() Answer) Answer {
		if !m.of(c) {
			return carryOut()
		}
		w.mu.Lock()
		n++
		meant := n > m.After && (m.Times == 0 || n <= m.After+m.Times)
		w.mu.Unlock()
		if !meant {
			return carryOut()
		}
		return h(ctx, c, carryOut)
	})
}

// Calls gives the calls so far that match, in the order in which they began. After and Times of m count nothing here.
func (w *World) Calls(m Match) []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Call
	for _, c := range w.calls {
		if m.of(c) {
			all = append(all, c)
		}
	}
	return all
}

// answersWithin bounds a call of the bucket or of the Machines API, as their clients do.
const answersWithin = time.Minute

// through has the hooks decide what a call is answered.
func (w *World) through(ctx context.Context, c Call, carryOut func() Answer) Answer {
	c.At = time.Now()
	if !c.Kind.IsExec() && c.Kind != Build && c.Kind != ReadImage && c.Kind != CreateTemporary { // an exec has its own
		bounded, cancel := context.WithTimeout(ctx, answersWithin)
		defer cancel()
		ctx = bounded
	}
	if err := ctx.Err(); err != nil {
		return Answer{Err: err}
	}
	w.mu.Lock()
	w.calls = append(w.calls, c)
	hooks := slices.Clone(w.hooks)
	latency := w.timing.of(c.Kind)
	w.mu.Unlock()
	do := func() Answer {
		if err := pause(ctx, latency/2); err != nil {
			return Answer{Err: unanswered(c, err)}
		}
		a := carryOut()
		if err := pause(ctx, latency-latency/2); err != nil {
			return Answer{Err: unanswered(c, err)}
		}
		return a
	}
	for _, h := range hooks {
		inner := do
		do = func() Answer { return (*h)(ctx, c, inner) }
	}
	return do()
}

// ask is through for a call that gives a value.
func ask[T any](ctx context.Context, w *World, c Call, carryOut func() (T, error)) (T, error) {
	a := w.through(ctx, c, func() Answer {
		v, err := carryOut()
		return Answer{Value: v, Err: err}
	})
	v, _ := a.Value.(T)
	return v, a.Err
}

// tell is through for a call that gives nothing.
func tell(ctx context.Context, w *World, c Call, carryOut func() error) error {
	return w.through(ctx, c, func() Answer { return Answer{Err: carryOut()} }).Err
}

// pause waits, unless the context ends before.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
