defmodule FlyDeployAgent.Findings do
  @moduledoc """
  What an operator should know before the commit: `%{name, severity, subject, detail}`, and where it is about running processes their
  number, `processes`. Names are stable; the console knows
  the remedy of each. A `block` must be accepted by name, a `refuse` cannot be. `modules` and `pids` tell whose states it is about, where that
  is known, `keys` what these lack; `users` who runs a module that is removed, and `trees` what is applied of children (`FlyDeployAgent.AppChildren`): the console
  learns none of these.
  """

  alias FlyDeployAgent.{Beam, Diff, OldCode, Origin, Processes, Staged}

  @type finding :: %{
          required(:name) => binary,
          required(:severity) => :refuse | :block | :warn | :info,
          required(:subject) => binary,
          required(:detail) => binary,
          optional(:processes) => pos_integer,
          optional(:modules) => [module],
          optional(:keys) => [term],
          optional(:pids) => [pid],
          optional(:users) => [pid],
          optional(:trees) => [map]
        }

  # A rollback that suspends longer than this must be accepted by name.
  @rollback_us 2_000_000
  @shown 3

  @doc "Findings about modules."
  @spec modules(Diff.t(), %{module => Beam.facts()}, unloadable :: [{module, atom}]) :: [finding]
  def modules(diff, facts, unloadable) do
    changes = diff.changes

    native = for %{module: m} = change <- changes, facts[m].nif or old_nif?(change), do: m
    on_load = for {m, :on_load_not_allowed} <- unloadable, m not in native, do: m
    bad = for {m, reason} <- unloadable, reason != :on_load_not_allowed, do: {m, reason}
    sticky = for %{module: m} <- changes, :code.is_sticky(m), do: m
    drifted = for %{change: :changed} = change <- changes, change.file_md5 != change.old_md5, do: change
    {fileless, drift} = Enum.split_with(drifted, &(&1.file_md5 == nil))

    lingering = OldCode.lingering(for %{module: m, change: :changed} <- changes, do: m)

    in_use = Processes.using(for {m, _app} <- diff.removed, do: m)

    Enum.concat([
      for(
        {m, pids} <- in_use,
        do:
          counted(
            "module_in_use",
            :block,
            inspect(m),
            "is removed, and still run by #{some(pids, &who/1)}",
            pids
          )
          |> Map.put(:users, pids)
      ),
      about(native ++ on_load, "native_code", :refuse, "loads native code or has on_load: cold deploy"),
      about(sticky, "sticky_module", :refuse, "lies in a sticky folder of OTP: cold deploy"),
      for(
        {m, reason} <- bad,
        do: finding("not_loadable", :refuse, inspect(m), "this VM cannot load it: #{reason}")
      ),
      about(
        for(%{module: m} <- drift, do: m),
        "drift",
        :block,
        "runs other code than its file holds, perhaps loaded by hand: the upgrade replaces it, and a rollback would lead to the file's"
      ),
      about(
        for(%{module: m} <- fileless, do: m),
        "no_file",
        :refuse,
        "runs, and its file is gone, so nothing could be rolled back to"
      ),
      for(
        {m, pids} <- lingering,
        do:
          counted(
            "lingering",
            :block,
            inspect(m),
            "is still run, in an earlier version, by #{some(pids, &who/1)}",
            pids
          )
      ),
      about(
        for({m, _app} <- diff.removed, do: m),
        "module_removed",
        :info,
        "stays loaded until the next restart"
      )
    ])
  end

  defp old_nif?(%{old_file: nil}), do: false

  defp old_nif?(%{old_file: file}) do
    case File.read(file) do
      {:ok, beam} -> match?({:ok, %{nif: true}}, Beam.facts(beam))
      {:error, _} -> false
    end
  end

  @doc "Findings about live processes; `would_kill` are holders of modules that cannot be left for last."
  @spec processes(Staged.t(), would_kill :: [{pid, [module]}]) :: [finding]
  def processes(staged, would_kill) do
    doomed = Enum.map(would_kill, &elem(&1, 0))
    spared = for {pid, modules} <- staged.holders, pid not in doomed, do: {pid, modules}

    kind = fn kind ->
      staged.others |> Enum.filter(&(&1.kind == kind)) |> Enum.map(& &1.module) |> Enum.uniq()
    end

    Enum.concat([
      for(
        {pid, modules} <- Enum.take(would_kill, @shown),
        do:
          finding(
            "rollback_would_kill",
            :warn,
            who(pid),
            "runs #{some(modules, &inspect/1)}; a rollback would end it"
          )
      ),
      for(
        {pid, modules} <- Enum.take(spared, @shown),
        do:
          finding(
            "keeps_old_code",
            :info,
            who(pid),
            "runs #{some(modules, &inspect/1)}, and keeps the old version until its next fully qualified call (`Module.function`)"
          )
          |> Map.put(:pids, [pid])
      ),
      for(
        found <-
          about(kind.(:special), "special_process", :warn, "is a process of its own kind: it is not upgraded"),
        do: Map.put(found, :pids, for(%{kind: :special, pid: pid} <- staged.others, do: pid))
      ),
      about(
        kind.(:suspended),
        "already_suspended",
        :block,
        "one of its processes is suspended by somebody else"
      )
    ])
  end

  @doc "What of the window is left to chance."
  @spec window([FlyDeployAgent.Target.t()], skip_busy :: boolean) :: [finding]
  def window(targets, skip_busy) do
    migrated = for %{units: units} <- targets, {module, _vsn} <- units, uniq: true, do: module

    # In one order on every machine, so that a plan tells it once.
    called = for module <- Enum.sort(migrated), called = called(module), called != [], do: {module, called}
    if(called == [], do: [], else: [calls_in_new_code(called)]) ++ if(skip_busy, do: [skips_busy()], else: [])
  end

  defp calls_in_new_code(called) do
    functions = for {module, functions} <- called, {fun, arity} <- functions, do: {module, fun, arity}

    finding(
      "calls_in_new_code",
      :info,
      some(called, fn {module, _} -> inspect(module) end),
      "callers of " <>
        some(functions, fn {module, fun, arity} -> Exception.format_mfa(module, fun, arity) end) <>
        " run the new code already during the migrations, which may fail"
    )
  end

  defp skips_busy do
    finding(
      "skips_busy",
      :info,
      "--skip-busy",
      "lets processes that do not suspend in time migrate later, if nothing waits for them; a rollback may have to end them"
    )
  end

  # What OTP, Elixir and Phoenix call, in the process itself or before it is one.
  @callbacks ~w(init handle_call handle_cast handle_info handle_continue handle_event terminate code_change
    format_status callback_mode child_spec start start_link start_monitor mount render handle_params handle_async
    join handle_in handle_out module_info behaviour_info)a

  # The functions of a callback module that its callers run.
  defp called(module) do
    states = if function_exported?(module, :callback_mode, 0), do: 3

    # The order of exports differs from VM to VM.
    for {name, arity} <- Enum.sort(module.module_info(:exports)),
        name not in @callbacks and arity != states,
        not String.starts_with?(Atom.to_string(name), ["__", "-"]),
        do: {name, arity}
  end

  @doc "What open pages will show, see `FlyDeployAgent.LiveView.pages/2`."
  @spec pages({non_neg_integer, at_once :: boolean}) :: [finding]
  def pages({0, _}), do: []

  def pages({count, at_once}) do
    detail =
      if at_once,
        do: "show the new code at once, and keep their states",
        else: "show the new code at their next event: this LiveView has no way to render them before"

    [finding("open_pages", :info, "open pages (#{count})", detail)]
  end

  @doc "Findings about the release that runs."
  @spec release(unwritable :: [Path.t()]) :: [finding]
  def release(unwritable) do
    Enum.concat([
      for(
        dir <- Enum.take(unwritable, @shown),
        do: finding("not_writable", :block, dir, "the VM's user cannot write here")
      ),
      if(Process.whereis(FlyDeploy.Poller),
        do: [finding("poller_runs", :block, "FlyDeploy.Poller", "would apply upgrades on its own")],
        else: []
      ),
      if(function_exported?(FlyDeploy, :startup_reapply_current, 1),
        do: [],
        else: [
          finding(
            "no_startup_hook",
            :warn,
            "FlyDeploy.startup_reapply_current/1",
            "is not part of the release: a restart goes back to the image's code"
          )
        ]
      )
    ])
  end

  @doc "A rollback frees the old slots with everything suspended."
  @spec rollback_cost(us :: non_neg_integer) :: [finding]
  def rollback_cost(us) when us > @rollback_us,
    do: [
      finding(
        "slow_rollback",
        :block,
        "rollback",
        "would suspend for about #{Float.round(us / 1_000_000, 1)} s"
      )
    ]

  def rollback_cost(_us), do: []

  @doc "A process as people know it: its pid, and its registered name or what started it."
  @spec who(pid) :: binary
  def who(pid) do
    case {name(pid), Origin.initial_call(pid)} do
      {"", nil} -> inspect(pid)
      {"", {module, fun, arity}} -> "#{inspect(pid)} #{Exception.format_mfa(module, fun, arity)}"
      {name, _} -> "#{inspect(pid)} #{name}"
    end
  end

  @doc "A process' registered name, or an empty text."
  @spec name(pid) :: binary
  def name(pid) do
    case Process.info(pid, :registered_name) do
      {:registered_name, name} when is_atom(name) -> inspect(name)
      _ -> ""
    end
  end

  @doc "What was not found out, and why."
  @spec not_compared(binary) :: finding
  def not_compared(why),
    do: finding("not_compared", :warn, "what runs", "was not compared with the new code: #{why}")

  @doc "The findings that `fun` gives, or that it failed: then the others are told all the same."
  @spec safely((() -> [finding])) :: [finding]
  def safely(fun) do
    fun.()
  catch
    _kind, _reason ->
      [not_compared("the agent failed#{where(__STACKTRACE__)}")]
  end

  # In the agent's own code: what that calls tells little.
  defp where(stack) do
    case Enum.find(stack, fn {m, _, _, _} -> "#{m}" =~ "FlyDeployAgent" end) do
      {m, f, a, _} -> " in #{Exception.format_mfa(m, f, if(is_list(a), do: length(a), else: a))}"
      nil -> ""
    end
  end

  defp about([], _name, _severity, _detail), do: []

  defp about(modules, name, severity, detail),
    do: [finding(name, severity, some(modules, &inspect/1), detail)]

  @doc "A finding that sums `others` up is about the states of all that these are about, where all of them tell."
  @spec whose(finding, [finding]) :: finding
  def whose(finding, others) do
    if Enum.all?(others, &is_map_key(&1, :modules)),
      do: Map.put(finding, :modules, others |> Enum.flat_map(& &1.modules) |> Enum.uniq()),
      else: finding
  end

  @doc "A number of processes, as people say it."
  @spec number(pos_integer) :: binary
  def number(1), do: "1 process"
  def number(count), do: "#{count} processes"

  @doc "The first few of `items`, told by `fun`, and how many more there are."
  @spec some([item], (item -> binary)) :: binary when item: var
  def some(items, fun) do
    text = items |> Enum.take(@shown) |> Enum.map_join(", ", fun)
    if length(items) > @shown, do: "#{text} and #{length(items) - @shown} more", else: text
  end

  defp counted(name, severity, subject, detail, pids),
    do: name |> finding(severity, subject, detail) |> Map.put(:processes, length(pids))

  @doc "A finding about a module, or something else that has a name."
  @spec finding(binary, :refuse | :block | :warn | :info, module | binary, binary) :: finding
  def finding(name, severity, module, detail) when is_atom(module),
    do: finding(name, severity, inspect(module), detail)

  def finding(name, severity, subject, detail),
    do: %{name: name, severity: severity, subject: subject, detail: detail}

  @doc "The same finding, about so many processes of a module."
  @spec of_processes(finding, module, pos_integer) :: finding
  def of_processes(finding, module, count), do: Map.merge(finding, %{processes: count, modules: [module]})
end
