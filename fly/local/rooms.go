package local

import (
	"time"

	"flydeploy/fly/local/api"
	"flydeploy/fly/local/fault"
	"flydeploy/fly/local/isolation"
	"flydeploy/fly/local/machine"
	"flydeploy/fly/local/registry"
	"flydeploy/fly/local/storage"
)

// What users of a local Fly need of its rooms, by the names that it has for them.
type (
	// MachineSpec is a machine as `fly deploy` would make it.
	MachineSpec = machine.Spec
	// Image is a pushed image.
	Image = registry.Pushed
	// S3Info is what a client of the object store needs.
	S3Info = storage.Info
	// Isolation is a way of running machines on this computer.
	Isolation = isolation.Kind
	// Action names an operation of the Machines API, for faults.
	Action = api.Action
	// ExecResult is the wire format of an exec's answer.
	ExecResult = api.ExecResult

	// Faults holds the faults that are switched on.
	Faults = fault.Faults
	// Target says which requests a fault meets. For the API its Action is one of the Action constants.
	Target = fault.Target
	// Service is one of the servers that faults can be injected into.
	Service = fault.Service
	// Effect is what a fault does.
	Effect = fault.Effect
)

// Ways of running machines.
const (
	Auto       = isolation.Auto
	Namespaces = isolation.Namespaces
	Processes  = isolation.Processes
)

// Isolations are the ways, the usual one first.
var Isolations = []Isolation{Auto, Namespaces, Processes}

// Services that faults can be injected into.
const (
	API      = fault.API
	S3       = fault.S3
	Registry = fault.Registry
)

// Operations of the Machines API.
const (
	ActionApp           = api.ActionApp
	ActionList          = api.ActionList
	ActionCreate        = api.ActionCreate
	ActionGet           = api.ActionGet
	ActionStart         = api.ActionStart
	ActionStop          = api.ActionStop
	ActionRestart       = api.ActionRestart
	ActionSuspend       = api.ActionSuspend
	ActionDestroy       = api.ActionDestroy
	ActionCordon        = api.ActionCordon
	ActionUpdate        = api.ActionUpdate
	ActionWait          = api.ActionWait
	ActionExec          = api.ActionExec
	ActionLease         = api.ActionLease
	ActionMetadata      = api.ActionMetadata
	ActionWriteMetadata = api.ActionWriteMetadata
)

// Delay waits before the work.
func Delay(d time.Duration) Effect { return fault.Delay(d) }

// Refuse answers with status and body, and the work is not done.
func Refuse(status int, body string) Effect { return fault.Refuse(status, body) }

// Forget does the work and then answers with status and body instead of the result.
func Forget(status int, body string) Effect { return fault.Forget(status, body) }

// ForgetSlow is Forget for work that took longer than d.
func ForgetSlow(d time.Duration, status int, body string) Effect {
	return fault.ForgetSlow(d, status, body)
}

// Cut breaks the connection, and the work is not done.
func Cut() Effect { return fault.Cut() }

// CutAfter does the work and then breaks the connection, once n bytes of the answer's body are written.
func CutAfter(n int) Effect { return fault.CutAfter(n) }

// Alter does the work and changes the body of its answer.
func Alter(change func(body []byte) []byte) Effect { return fault.Alter(change) }

// AlterExec does the work and changes the result that exec answers with.
func AlterExec(change func(*ExecResult)) Effect { return api.AlterExec(change) }

// Around calls before ahead of a request's work, and after once it is done but not yet answered. Either may be nil.
func Around(before, after func()) Effect { return fault.Around(before, after) }

// Trickle does the work and hands out the answer's body in pieces of n bytes, with a pause before each.
func Trickle(n int, pause time.Duration) Effect { return fault.Trickle(n, pause) }

// PayloadTooLarge answers an exec as the platform does for a request of more than 16 KB. The work is not done.
func PayloadTooLarge() Effect { return api.PayloadTooLarge() }

// ImageNotThereYet is what a registry mirror answers that lags behind a push.
func ImageNotThereYet() Effect { return registry.NotThereYet() }

// ClockOff puts S3's clock off by d: its answers tell the other time, and it refuses requests that were signed too far
// from it.
func ClockOff(d time.Duration) Effect { return storage.ClockOff(d) }
