package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// hookOf judges what a VM reports about its startup hook, and says what is wrong, nil if nothing is. The hook must have been called
// for otpApp; if that is "", any call counts.
func hookOf(reported agent.Hook, otpApp string) (engine.Hook, *engine.Problem) {
	switch reported.State {
	case agent.HookCalled:
		return hookCalled(reported.Calls, otpApp)
	case agent.HookUncalled:
		return engine.HookUncalled, hookProblem("startup_hook_uncalled",
			"the release has the package fly_deploy, but its application does not call the startup hook: a restarted machine runs its image's code")
	case agent.HookUnknown:
		return engine.HookUnknown, hookProblem("startup_hook_unknown", "the release's package fly_deploy does not say whether its startup hook is called")
	default:
		return engine.HookMissing, hookProblem("no_startup_hook", "the release has no startup hook: a restarted machine runs its image's code")
	}
}

func hookCalled(calls []agent.HookCall, otpApp string) (engine.Hook, *engine.Problem) {
	var others []string
	for _, c := range calls {
		switch {
		case otpApp != "" && c.App != otpApp:
			others = append(others, c.App)
		case c.Outcome == agent.HookFailed:
			return engine.HookFailed, hookProblem("startup_hook_failed", "when the VM started, the hook could not reapply the upgrade: "+cmp.Or(c.Text, "for an unknown reason"))
		case c.Outcome == agent.HookGaveUp:
			return engine.HookGaveUp, hookProblem("boot_loop", "the machine boots its image's code: "+cmp.Or(c.Text, "the last boots with the upgrade have not lasted"))
		default:
			return engine.HookCalled, nil
		}
	}
	return engine.HookUncalled, hookProblem("startup_hook_uncalled",
		fmt.Sprintf("the startup hook is called for %s, not for %s: a restarted machine runs its image's code", strings.Join(others, ", "), otpApp))
}

// undoneIn says what upgrades have left undone in a VM: a problem for each kind.
func undoneIn(h agent.Hook) []*engine.Problem {
	var problems []*engine.Problem
	for _, kind := range []struct{ name, what string }{
		{"child_not_started", "children of the upgrade do not run: "}, {"config_not_taken", "applications have not taken their new settings: "},
	} {
		var texts []string
		for _, u := range h.Undone {
			if u.Name == kind.name {
				texts = append(texts, u.Text)
			}
		}
		if texts != nil {
			problems = append(problems, hookProblem(kind.name, kind.what+strings.Join(texts, ", ")))
		}
	}
	return problems
}

func hookProblem(name, what string) *engine.Problem {
	return engine.NewProblem(name, what, nil, engine.Remedies[name])
}
