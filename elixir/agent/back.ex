defmodule FlyDeployAgent.Back do
  @moduledoc """
  An upgrade that is taken back: which processes take their states along, and which have to start afresh.

  As in OTP's releases it is the code that runs, and knows both shapes, which takes a state back, before the older code is loaded:
  `code_change({:down, vsn}, state, extra)`, with the older code's `vsn`. A module that has no clause for it cannot take its processes back,
  nor can one whose state the older code could not take. These processes end, and their supervisors start them again, see
  `FlyDeployAgent.Fresh`.
  """

  alias FlyDeployAgent.{Beam, CodeFacts, Findings, Fresh, Migrating, Paths, Staged}

  @doc "The facts of what runs and changes, with the code_change that it has, and the version that this is told; without those that start afresh."
  @spec changed(Staged.t()) :: %{module => FlyDeployAgent.Beam.facts()}
  def changed(%{diff: diff, facts: facts, fresh: fresh}) do
    for %{module: m, change: :changed} <- diff.changes,
        :erlang.module_loaded(m) and not is_map_key(fresh, m),
        into: %{} do
      same = facts[m].vsn == Beam.vsn(m) and CodeFacts.written?(facts[m].vsn)
      arities = for arity <- [3, 4], not same, function_exported?(m, :code_change, arity), do: arity
      {m, %{facts[m] | vsn: {:down, facts[m].vsn}, code_change: arities}}
    end
  end

  @doc "Decides by the code alone, for the modules of which something runs. `named` are those that the order names."
  @spec decide(Staged.t(), named :: [module]) :: Staged.t()
  def decide(%Staged{diff: diff} = staged, named) do
    live = for %{module: m, kind: kind} <- staged.targets, into: %{}, do: {m, kind}
    units = for %{units: units} <- staged.targets, {m, {:down, vsn}} <- units, into: %{}, do: {m, vsn}

    {changes, fresh} =
      Enum.map_reduce(diff.changes, %{}, fn %{module: m} = change, fresh ->
        code = if is_map_key(live, m) and change.old_file, do: CodeFacts.functions_in(change.old_file)
        why = if code, do: why_fresh(change, code, live[m], units)
        down = code != nil and why == nil and is_map_key(units, m) and not keeps?(code, arity(live[m]))
        change = Map.merge(change, %{asked: change.old_file || change.source, down: down})
        {change, if(why, do: Map.put(fresh, m, why), else: fresh)}
      end)

    named = Map.new(named, &{&1, "going back with its state has failed"})
    %Staged{staged | diff: %{diff | changes: changes}, fresh: Map.merge(fresh, named)}
  end

  defp why_fresh(%{module: m} = change, code, kind, units) do
    cond do
      kind == :gen_statem and mode(code) != mode(CodeFacts.functions_in(change.source)) ->
        "the older code has another callback mode"

      is_map_key(units, m) and not takes_down?(m, code, arity(kind), units[m]) ->
        "its code_change has no clause for #{told(units[m])}"

      true ->
        nil
    end
  end

  # The version that the compiler gives is a number of 39 digits.
  defp told(vsn), do: if(CodeFacts.written?(vsn), do: inspect({:down, vsn}), else: "{:down, vsn}")

  defp arity(:gen_statem), do: 4
  defp arity(_kind), do: 3

  @doc "Whether a `code_change` gives something back for `{:down, vsn}`, whatever the state is. What its code does not show counts as if it did."
  @spec takes_down?(module, CodeFacts.code(), 3 | 4, vsn :: term) :: boolean
  def takes_down?(module, code, arity, vsn) do
    mfa = {module, :code_change, arity}
    down = {:tuple, [{:const, :down}, {:const, vsn}]}
    program = Paths.alone(module, code, [mfa])
    told = Paths.follow(program, mfa, [down | List.duplicate(:any, arity - 1)])
    not is_map_key(code, {:code_change, arity}) or told.returns != [] or not told.whole
  end

  defp keeps?(code, arity), do: CodeFacts.keeps_state?(code[{:code_change, arity}])

  # Where it cannot be told, its code stands for it.
  defp mode(code) do
    body = code[{:callback_mode, 0}]

    case CodeFacts.constant(body) do
      {:ok, mode} -> {:ok, Enum.sort(List.wrap(mode))}
      _unknown -> body
    end
  end

  @doc """
  What the findings say against keeping states makes their processes start afresh, and is no blocker any more; a finding for each module
  tells of them. `look` looks at the processes again.
  """
  @spec settle(Staged.t(), (Staged.t() -> Staged.t())) :: Staged.t()
  def settle(%Staged{findings: findings} = staged, look) do
    fresh =
      for %{modules: modules} = found <- findings,
          blocks?(found),
          m <- modules,
          into: %{},
          do: {m, text(found)}

    %Staged{} = staged = look.(%Staged{staged | fresh: Map.merge(fresh, staged.fresh)})
    left = Enum.reject(findings, &cured?(&1, staged))

    %Staged{
      staged
      | findings: Fresh.findings(staged.ended, staged.fresh) ++ goes_down(staged) ++ left,
        migrating: Migrating.count(staged.targets, staged.diff.changes)
    }
  end

  # The start functions of children are wanted for a fresh start, too.
  defp blocks?(%{severity: severity, name: name}), do: severity == :block and name != "lingering"

  defp text(%{subject: subject, detail: detail}), do: "#{subject} #{detail}"

  defp cured?(%{name: "lingering"}, _staged), do: true

  defp cured?(%{pids: pids}, staged),
    do: Enum.all?(pids, fn pid -> Enum.any?(staged.ended, &(&1.pid == pid)) end)

  defp cured?(%{modules: modules}, staged), do: Enum.all?(modules, &is_map_key(staged.fresh, &1))
  defp cured?(_finding, _staged), do: false

  defp goes_down(%{targets: targets, diff: %{changes: changes}}) do
    down = for %{module: m, down: true} <- changes, into: MapSet.new(), do: m

    counts =
      Enum.frequencies(for %{units: units} <- targets, {m, {:down, vsn}} <- units, m in down, do: {m, vsn})

    for {{m, vsn}, count} <- counts do
      %{
        name: "goes_down",
        severity: :info,
        subject: inspect(m),
        detail: "its code_change has a clause for #{told(vsn)}, which takes #{Findings.number(count)} back",
        processes: count
      }
    end
  end
end
