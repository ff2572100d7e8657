package engine

// Phase names one step of a deploy. Fleet phases belong to the whole deploy (an Event with an empty Machine);
// machine phases to one machine. The twelve phases of fly_deploy keep their names: build, orchestrator, tarball,
// upload, metadata, reload, extract, detection, suspension, code_load, migration, resume.
type Phase string

// Phases of the fleet, in the order in which a deploy goes through them.
const (
	PhaseLock         Phase = "lock"
	PhaseBuild        Phase = "build"
	PhaseOrchestrator Phase = "orchestrator" // the temporary machine with the new image
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

// Phases of a machine, in the order in which its agent goes through them. From PhaseSuspension to PhaseResume is the
// window in which processes do not run.
const (
	PhaseInject     Phase = "inject"
	PhaseReload     Phase = "reload" // downloads the tarball
	PhaseExtract    Phase = "extract"
	PhaseDetection  Phase = "detection"
	PhaseArm        Phase = "arm"
	PhaseSuspension Phase = "suspension"
	PhaseCodeLoad   Phase = "code_load"
	PhaseMigration  Phase = "migration"
	PhaseResume     Phase = "resume"
	PhaseRollback   Phase = "rollback" // appears only where a migration failed
	PhaseLiveView   Phase = "liveview"
	PhaseCheck      Phase = "check" // loaded md5s against the upgrade, after the commit
)

// FleetPhases and MachinePhases list the phases in display order.
var (
	FleetPhases = []Phase{
		PhaseLock, PhaseBuild, PhaseOrchestrator, PhaseTarball, PhaseUpload, PhaseStage,
		PhasePlan, PhaseCommit, PhaseVerify, PhaseMetadata, PhaseResults, PhaseUnlock,
	}
	MachinePhases = []Phase{
		PhaseInject, PhaseReload, PhaseExtract, PhaseDetection, PhaseArm,
		PhaseSuspension, PhaseCodeLoad, PhaseMigration, PhaseRollback, PhaseResume, PhaseLiveView, PhaseCheck,
	}
)

var phaseTitles = map[Phase]string{
	PhaseLock: "Lock", PhaseBuild: "Build", PhaseOrchestrator: "Orchestrator", PhaseTarball: "Tarball",
	PhaseUpload: "Upload", PhaseStage: "Stage", PhasePlan: "Plan", PhaseCommit: "Commit", PhaseVerify: "Verify",
	PhaseMetadata: "Metadata", PhaseResults: "Results", PhaseUnlock: "Unlock",
	PhaseInject: "Inject", PhaseReload: "Reload", PhaseExtract: "Extract", PhaseDetection: "Detection",
	PhaseArm: "Arm", PhaseSuspension: "Suspension", PhaseCodeLoad: "Code Load", PhaseMigration: "Migration",
	PhaseResume: "Resume", PhaseRollback: "Rollback", PhaseLiveView: "LiveView", PhaseCheck: "Check",
}

// Title is the phase's name as people read it: "Code Load" for code_load.
func (p Phase) Title() string {
	if t, ok := phaseTitles[p]; ok {
		return t
	}
	return string(p)
}

// Status of one (machine, attempt, phase).
type Status string

// The statuses that events carry. Done, skipped and failed are final; unknown is not: a later look resolves it.
const (
	StatusPending Status = "pending"
	StatusRunning Status = "running"
	StatusDone    Status = "done"
	StatusSkipped Status = "skipped"
	StatusFailed  Status = "failed"
	StatusUnknown Status = "unknown"
)

// Final reports whether no later event may change the status.
func (s Status) Final() bool { return s == StatusDone || s == StatusSkipped || s == StatusFailed }
