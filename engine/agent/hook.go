package agent

import (
	"strconv"
	"strings"

	"flydeploy/engine"
)

// HookState is what a VM tells of FlyDeploy.startup_reapply_current/1, the startup hook.
type HookState string

// The states of the hook, as hook.exs names them.
const (
	HookAbsent   HookState = "absent"   // not part of the release
	HookUnknown  HookState = "unknown"  // part of the release, in a version that does not tell whether it was called
	HookUncalled HookState = "uncalled" // part of the release, and not called since the VM started
	HookCalled   HookState = "called"
)

// Hook is the startup hook as a VM tells of it, and what else the package does by itself.
type Hook struct {
	State HookState
	Calls []HookCall // the last one for each application, where the state is HookCalled
	// CatchUp is nil where the package, or its version, does not catch up by itself, or was told not to.
	CatchUp *engine.CatchUp
	// PublicKeys are the IDs of the keys of which one must have signed what the package loads; with none it loads everything.
	// WrongKeys says why it loads nothing, "" unless its configuration is wrong.
	PublicKeys []string
	WrongKeys  string
	// StateDir is the folder that keeps over restarts how old the newest signed upgrade is that the machine has run; "" for none.
	StateDir string
	// ReadsNames: what the machine boots can read an upgrade by its name in current.json (engine.EncodeMetadata).
	ReadsNames bool
	// NewestMS is when the newest was signed of what the machine has run, see Ran; 0 if nothing is known.
	NewestMS int64
	// TakenBackTo is the sha256 of the tarball that a console has taken the machine back to, "" for none, and once anything newer has run: the
	// package loads that, whenever it was signed.
	TakenBackTo string
	// Undone is what upgrades have left undone, at the boot or since: children that do not run, settings that applications have not taken.
	Undone []Undone
}

// Undone is one thing that an upgrade has left undone. Name is that of the finding of the next plan (engine.Remedies).
type Undone struct{ Name, Text string }

// HookOutcome is how a call of the startup hook has ended, as elixir/lib/fly_deploy/hook.ex names it.
type HookOutcome string

// The ends of calls.
const (
	HookRunning   HookOutcome = "running"
	HookReapplied HookOutcome = "reapplied"
	HookNone      HookOutcome = "none" // there was nothing to reapply
	HookFailed    HookOutcome = "failed"
	HookGaveUp    HookOutcome = "gave_up" // the last boots with the upgrade have not lasted
)

// HookCall is one call of the startup hook, by the name of the OTP application that it was given.
type HookCall struct {
	App     string
	Outcome HookOutcome
	Text    string // what was reapplied, or why nothing was
}

// read takes a line of an answer, if it is about the hook.
func (h *Hook) read(key, value string) {
	switch key {
	case "hook":
		h.State = HookState(value)
	case "call":
		app, rest, _ := strings.Cut(value, " ")
		outcome, text, _ := strings.Cut(rest, " ")
		h.Calls = append(h.Calls, HookCall{App: app, Outcome: HookOutcome(outcome), Text: text})
	case "reads":
		h.ReadsNames = value == "names"
	case "public_key":
		h.PublicKeys = append(h.PublicKeys, value)
	case "state_dir":
		h.StateDir = value
	case "newest_ms":
		h.NewestMS, _ = strconv.ParseInt(value, 10, 64)
	case "taken_back_to":
		h.TakenBackTo = value
	case "undone":
		name, text, _ := strings.Cut(value, " ")
		h.Undone = append(h.Undone, Undone{name, text})
	case "public_key_wrong":
		h.WrongKeys = value
	case "catch_up":
		mode, rest, _ := strings.Cut(value, " ")
		outcome, text, _ := strings.Cut(rest, " ")
		h.CatchUp = &engine.CatchUp{Mode: mode, Outcome: engine.CatchUpOutcome(outcome), Text: text}
	}
}
