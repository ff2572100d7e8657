package engine

import (
	"slices"
	"strings"
)

// Phase names one step of a deploy. Phases of the fleet belong to the whole deploy (an Event without a Machine), phases of a
// machine to one machine. The twelve phases of fly_deploy keep their names: build, orchestrator, tarball, upload, metadata,
// reload, extract, detection, suspension, code_load, migration, resume.
type Phase string

// The phases of the fleet.
const (
	PhaseLock         Phase = "lock"
	PhaseBuild        Phase = "build"
	PhaseOrchestrator Phase = "orchestrator" // starts a temporary machine with the new image
	PhaseTarball      Phase = "tarball"
	PhaseUpload       Phase = "upload"
	PhaseStage        Phase = "stage"
	PhasePlan         Phase = "plan" // the plan and its confirmation
	PhaseCommit       Phase = "commit"
	PhaseVerify       Phase = "verify"
	PhaseMetadata     Phase = "metadata"
	PhaseResults      Phase = "results"
	PhaseUnlock       Phase = "unlock"
)

// The phases of a machine. From PhaseSuspension to PhaseResume its processes are suspended.
const (
	PhaseInject     Phase = "inject"
	PhaseReload     Phase = "reload" // downloads the tarball
	PhaseExtract    Phase = "extract"
	PhaseDetection  Phase = "detection"
	PhaseArm        Phase = "arm"
	PhaseSuspension Phase = "suspension"
	PhaseCodeLoad   Phase = "code_load"
	PhaseMigration  Phase = "migration"
	PhaseRollback   Phase = "rollback" // only if a migration failed
	PhaseResume     Phase = "resume"
	PhaseLiveView   Phase = "liveview"
	PhaseCheck      Phase = "check" // asks the VM what it has loaded, after the commit
	PhaseWatch      Phase = "watch" // looks whether it is well, for the bake time
)

// FleetPhases and MachinePhases list the phases in the order in which a deploy goes through them.
var (
	FleetPhases = []Phase{
		PhaseLock, PhaseBuild, PhaseOrchestrator, PhaseTarball, PhaseUpload, PhaseStage,
		PhasePlan, PhaseCommit, PhaseVerify, PhaseMetadata, PhaseResults, PhaseUnlock,
	}
	MachinePhases = []Phase{
		PhaseInject, PhaseReload, PhaseExtract, PhaseDetection, PhaseArm,
		PhaseSuspension, PhaseCodeLoad, PhaseMigration, PhaseRollback, PhaseResume, PhaseLiveView, PhaseCheck, PhaseWatch,
	}
)

// Title gives the phase's name as people read it: "Code Load" for code_load. A phase that is not known keeps its name.
func (p Phase) Title() string {
	switch {
	case p == PhaseLiveView:
		return "LiveView"
	case !slices.Contains(FleetPhases, p) && !slices.Contains(MachinePhases, p):
		return string(p)
	}
	words := strings.Split(string(p), "_")
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}

// Status is how far one phase of one attempt on one machine, or of the fleet, has come.
type Status string

// The statuses of phases. Done, skipped and failed are final. Unknown is not: a later look may resolve it.
const (
	StatusPending Status = "pending"
	StatusRunning Status = "running"
	StatusDone    Status = "done"
	StatusSkipped Status = "skipped"
	StatusFailed  Status = "failed"
	StatusUnknown Status = "unknown"
)

// Final reports whether no later event changes the status.
func (s Status) Final() bool { return s == StatusDone || s == StatusSkipped || s == StatusFailed }
