package engine

import (
	"cmp"
	"fmt"
	"strings"

	"flydeploy/engine/agent"
)

// Hook tells whether a restart of a machine leads back to its upgrade: FlyDeploy.startup_reapply_current/1, called in the
// application's start.
type Hook string

// What is known of a machine's hook.
const (
	HookCalled   Hook = "called"   // when this VM started
	HookFailed   Hook = "failed"   // called when this VM started, and it could not reapply the upgrade
	HookUncalled Hook = "uncalled" // part of the release, but the application does not call it
	HookMissing  Hook = "missing"  // not part of the release
	HookUnknown  Hook = "unknown"  // part of the release, in a version that does not tell whether it is called
)

// Works: nothing is known that would keep a restart from leading back to the upgrade.
func (h Hook) Works() bool { return h != HookUncalled && h != HookMissing }

// hookOf judges what a VM says of its hook, and tells what is wrong. Without an OTP application (it is not known) a call for
// any counts.
func hookOf(told agent.Hook, otpApp string) (Hook, *Problem) {
	switch told.State {
	case agent.HookCalled:
		return hookCalled(told.Calls, otpApp)
	case agent.HookUncalled:
		return HookUncalled, hookProblem("startup_hook_uncalled",
			"the release has the package fly_deploy, and its application does not call the startup hook: a restarted machine runs its image's code")
	case agent.HookUnknown:
		return HookUnknown, hookProblem("startup_hook_unknown", "the release's package fly_deploy does not tell whether its startup hook is called")
	default:
		return HookMissing, hookProblem("no_startup_hook", "the release has none: a restarted machine runs its image's code")
	}
}

func hookCalled(calls []agent.HookCall, otpApp string) (Hook, *Problem) {
	var others []string
	for _, c := range calls {
		switch {
		case otpApp != "" && c.App != otpApp:
			others = append(others, c.App)
		case c.Outcome == "failed":
			return HookFailed, hookProblem("startup_hook_failed", "when the VM started, the hook could not reapply the upgrade: "+cmp.Or(c.Text, "no reason is known"))
		default:
			return HookCalled, nil
		}
	}
	return HookUncalled, hookProblem("startup_hook_uncalled",
		fmt.Sprintf("the startup hook is called for %s, not for %s: a restarted machine runs its image's code", strings.Join(others, ", "), otpApp))
}

func hookProblem(name, what string) *Problem { return NewProblem(name, what, nil, remedies[name]) }
