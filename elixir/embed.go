// Package elixir holds the Elixir source that flydeploy puts into running VMs and onto its temporary machine, and the mix
// package fly_deploy.
package elixir

import "embed"

// Files holds agent/*.ex (the agent's modules), orchestrator/*.ex, bootstrap.exs, hook.exs, probe.exs, loaded.exs, trial.exs and settings.exs; with mix.exs and lib it
// is also the package's source.
//
//go:embed agent/*.ex orchestrator/*.ex bootstrap.exs hook.exs probe.exs loaded.exs trial.exs settings.exs mix.exs lib
var Files embed.FS

// Jobs lists, by the names of the temporary machine's jobs, the files that they compile and run, in this order. The last one is the job.
var Jobs = map[string][]string{
	"tarball": {
		"agent/json.ex", "agent/release.ex", "agent/manifest.ex", "agent/config_file.ex",
		"orchestrator/job.ex", "orchestrator/tarball.ex", "orchestrator/tarball_job.ex",
	},
	"agent":  {"agent/json.ex", "agent/connection.ex", "agent/http.ex", "orchestrator/job.ex", "orchestrator/compiled.ex", "orchestrator/agent_job.ex"},
	"upload": {"agent/json.ex", "agent/connection.ex", "agent/http.ex", "orchestrator/job.ex", "orchestrator/upload_job.ex"},
}

// Agent lists the agent's files in the order in which they compile without warnings: a module after those it calls.
var Agent = []string{
	"agent/json.ex", "agent/beam.ex", "agent/release.ex", "agent/inventory.ex", "agent/connection.ex", "agent/http.ex", "agent/gzip.ex", "agent/tar.ex", "agent/archive.ex", "agent/failure.ex",
	"agent/free_memory.ex", "agent/scratch_port.ex", "agent/scratch_vm.ex", "agent/config_file.ex", "agent/config_scratch.ex", "agent/beside.ex", "agent/config_evaluation.ex",
	"agent/app_config.ex", "agent/config_change.ex", "agent/config_findings.ex",
	"agent/cell.ex", "agent/crash.ex", "agent/supervisors.ex", "agent/watch.ex", "agent/vitals.ex", "agent/queues.ex", "agent/rounds.ex", "agent/order.ex", "agent/on_trial.ex", "agent/files.ex", "agent/wrappers.ex", "agent/backtrace.ex",
	"agent/renamed.ex", "agent/births.ex", "agent/origin.ex", "agent/unstarted.ex", "agent/child_lists.ex", "agent/child_changes.ex", "agent/app_children.ex", "agent/stack.ex", "agent/old_code.ex", "agent/target.ex", "agent/processes.ex", "agent/findings.ex", "agent/loader.ex", "agent/waiting.ex",
	"agent/static.ex", "agent/live_view_page.ex", "agent/live_view.ex", "agent/siblings.ex", "agent/fresh.ex", "agent/window.ex", "agent/result.ex", "agent/callback_mode.ex", "agent/snapshot.ex",
	"agent/skipping.ex", "agent/suspension.ex", "agent/rollback.ex", "agent/migration_failures.ex", "agent/commit.ex", "agent/guardian.ex", "agent/diff.ex",
	"agent/instructions.ex", "agent/code_facts.ex", "agent/value.ex", "agent/places.ex", "agent/children.ex", "agent/inquiry.ex", "agent/shapes.ex", "agent/pair.ex",
	"agent/registers.ex", "agent/bifs.ex", "agent/binaries.ex", "agent/decisions.ex", "agent/steps.ex", "agent/texts.ex", "agent/messages.ex", "agent/takes.ex", "agent/gives.ex", "agent/known.ex", "agent/given.ex", "agent/demand_findings.ex",
	"agent/way.ex", "agent/paths.ex", "agent/contexts.ex", "agent/reads.ex", "agent/demands.ex", "agent/once.ex", "agent/conditions.ex", "agent/starts.ex", "agent/new_states.ex", "agent/timers.ex", "agent/signals.ex", "agent/attached.ex", "agent/start_rows.ex", "agent/start_findings.ex", "agent/keys.ex", "agent/key_shapes.ex", "agent/table_owners.ex", "agent/patterns.ex", "agent/asked.ex", "agent/specs.ex", "agent/restarts.ex", "agent/kept_options.ex", "agent/tables.ex", "agent/readers.ex", "agent/elsewhere.ex",
	"agent/surroundings.ex", "agent/later.ex", "agent/senders.ex", "agent/loops.ex", "agent/constants.ex", "agent/tree_findings.ex", "agent/handed_on.ex", "agent/message_findings.ex", "agent/code_findings.ex", "agent/mfas.ex", "agent/undefined.ex", "agent/optional.ex", "agent/state_names.ex", "agent/grown.ex", "agent/watched.ex", "agent/held.ex", "agent/under_way.ex", "agent/handlers.ex", "agent/measured.ex", "agent/protocols.ex",
	"agent/impact.ex", "agent/recompiled.ex", "agent/function_changes.ex", "agent/migrating.ex", "agent/staged.ex", "agent/back.ex",
	"agent/needs.ex", "agent/trial.ex", "agent/scratch.ex", "agent/samples.ex", "agent/belongings.ex",
	"agent/outside.ex", "agent/kinds.ex", "agent/branches.ex", "agent/rehearsal_findings.ex", "agent/own_code.ex", "agent/rehearsal.ex",
	"agent/manifest.ex", "agent/release_findings.ex",
	"agent/package.ex", "agent/staging.ex", "agent/armed.ex", "agent/arming.ex", "agent/report.ex", "agent/status.ex",
	"agent/folder.ex", "agent/fence.ex", "agent/worker.ex", "agent/state.ex", "agent/haste.ex", "agent/aftermath.ex", "agent/agent.ex",
}
