package engine

const coldDeploy = "Deploy cold: `fly deploy`."

// remedies say what to do about what an agent found or why it ended, by the agent's name for it (elixir/agent).
var remedies = map[string]string{
	"native_code":         coldDeploy + " Native code cannot be swapped in a running VM.",
	"sticky_module":       coldDeploy,
	"not_loadable":        coldDeploy + " The new release was compiled for another OTP, or a module is damaged.",
	"otp_differs":         coldDeploy + " Or build the new image with the OTP version that runs.",
	"elixir_differs":      coldDeploy + " Or build the new image with the Elixir version that runs.",
	"dependency_added":    coldDeploy + " Accept it only if nothing of it has to be started.",
	"dependency_changed":  coldDeploy + " Accept it only if you know that its processes survive the change.",
	"app_file_changed":    coldDeploy + " A hot upgrade starts and stops no application.",
	"drift":               "Restart the machine, so that memory and disk agree again: `fly machine restart`.",
	"lingering":           "Wait until these processes end, or restart them. Accepting lets them go on in the oldest code, and a commit may refuse.",
	"module_removed":      "",
	"rollback_would_kill": "If the migration fails, this process is ended. Wait until it is done, or accept the risk.",
	"keeps_old_code":      "",
	"supervisor_changed":  "A cold deploy applies the new children and strategy.",
	"special_process":     "Restart it by its supervisor when it should run the new code.",
	"already_suspended":   "Find out who suspended it (`:sys.suspend/1`, a debugger), and resume it.",
	"no_code_change":      "Add code_change/4 if its callback mode changes.",
	"not_writable":        "Let the release's files belong to the user of the VM (`COPY --chown` in the Dockerfile), and deploy cold once.",
	"poller_runs":         "Replace the package fly_deploy by flydeploy's, which does not poll, and deploy cold once.",
	"no_startup_hook":     "Call FlyDeploy.startup_reapply_current/1 in Application.start/2; until then a restarted machine runs its image's code.",
	"slow_rollback":       "If the migration fails, processes stay suspended for that long. Deploy cold, or accept it.",
	"storage_differs":     "A restarted machine would not find the upgrade. Give console and machines the same settings (`fly secrets set`, [env]). Accept it only if you know that both lead to the same bucket.",

	"other_base": "Deploy from source instead, or accept it where you know that the code fits this image.",
	"step_back":  "Hot upgrades are forward-only by nature: states go back only where code_change does. A cold deploy of the older version is the safe way: `fly deploy`.",

	"no_crypto":       "Add :crypto to extra_applications in mix.exs, and deploy cold once.",
	"no_release":      "flydeploy upgrades releases made by `mix release`.",
	"truncated":       "Deploy again: the download was cut.",
	"sha256_differs":  "Nothing was loaded. Deploy again; if it happens again, look at who writes to the bucket.",
	"download_failed": "Check that machines reach the bucket: `flydeploy status` shows where it is.",
	"bad_tarball":     "Deploy again from a fresh build.",
	"bad_beam":        "Deploy again from a fresh build.",
	"stale":           "The VM's code changed after the plan. Deploy again for a new plan.",
	"expired":         "The confirmation came too late. Deploy again.",
	"agent_error":     "This is a fault of flydeploy. The machine was left as it was.",
	"not_placed":      "The code runs, but a file on disk is old: a restart of the VM alone would load it. Check the disk, and deploy again.",

	"raised":        "The machine is as before. Correct code_change and deploy again.",
	"exited":        "The machine is as before. Correct code_change and deploy again.",
	"bad_return":    "The machine is as before. code_change must return {:ok, state}.",
	"timeout":       "The machine is as before. code_change took too long: do slow work after the upgrade.",
	"busy":          "The machine is as before. Deploy again when this process is idle, or give --suspend-timeout.",
	"not_suspended": "The machine is as before. Deploy again when this process is idle, or give --suspend-timeout.",
}
