defmodule FlyDeployAgent.RehearsalFindings do
  @moduledoc "What the plan tells of a rehearsal, see `FlyDeployAgent.Rehearsal`: numbers, names and shapes."

  alias FlyDeployAgent.{Branches, Findings, Pair}

  import FlyDeployAgent.Findings, only: [finding: 4]

  # Different failures of a kind that are told.
  @told 2
  # Findings of a name that are told one by one, and kinds that a further one names: the status has little room.
  @shown 10
  @named 10

  @doc "The finding that nothing was rehearsed."
  @spec none(binary) :: Findings.finding()
  def none(why), do: finding("not_rehearsed", :info, "the migrations", "were not rehearsed: #{why}")

  @doc "The findings about what came of each kind."
  @spec all([FlyDeployAgent.Rehearsal.outcome()], [Pair.t()]) :: [Findings.finding()]
  def all(outcomes, pairs) do
    (Enum.flat_map(outcomes, &of_kind/1) ++ may_raise(outcomes, pairs))
    |> Enum.group_by(&{&1.name, &1.severity})
    |> Enum.flat_map(fn {_, findings} -> findings |> Enum.split(@shown) |> summed_up() end)
  end

  defp summed_up({shown, []}), do: shown

  defp summed_up({[first | _] = shown, rest}) do
    subjects = rest |> Enum.map(& &1.subject) |> Enum.uniq()
    more = if length(subjects) > @named, do: " and #{length(subjects) - @named} others", else: ""
    names = "are like these: #{subjects |> Enum.take(@named) |> Enum.join(", ")}#{more}"
    shown ++ [first.name |> finding(first.severity, "#{length(rest)} more", names) |> Findings.whose(rest)]
  end

  defp of_kind(%{told: [], why: why} = outcome),
    do: [finding("not_rehearsed", :info, outcome.kind.module, "#{processes(outcome)} not rehearsed: #{why}")]

  defp of_kind(outcome) do
    well = for {:ok, told} <- outcome.told, do: told
    failed(outcome) ++ left(outcome, well) ++ needs(outcome) ++ rehearsed(outcome, well)
  end

  # -- failures

  defp failed(outcome) do
    for({:failed, step, sure, what, stack} <- outcome.told, do: {step, sure == :certain, what, stack})
    |> Enum.frequencies()
    |> Enum.sort_by(fn {_, count} -> -count end)
    |> Enum.take(@told)
    |> Enum.map(fn {failure, count} -> failure(failure, count, outcome) end)
  end

  defp failure({step, certain?, what, stack}, count, outcome) do
    {name, does} =
      if step == :migration, do: {"migration_fails", "code_change"}, else: {"render_fails", "rendering"}

    finding(
      name,
      if(certain?, do: :block, else: :warn),
      outcome.kind.module,
      "its #{does} fails on #{copies(count, outcome)}: #{what}#{where(stack, outcome)}"
    )
    |> of(outcome)
  end

  # The innermost frame of the module itself, else of whatever raised.
  defp where(stack, %{kind: %{module: module}}) do
    case Enum.find(stack, List.first(stack), &String.contains?(&1, inspect(module) <> ".")) do
      nil -> ""
      frame -> ", at #{frame}"
    end
  end

  # -- states that keep an old shape

  defp left(outcome, well) do
    for(%{left: left} <- well, found <- Enum.uniq(left), do: found)
    |> Enum.frequencies()
    |> Enum.map(fn {found, count} -> left(found, count, outcome) end)
  end

  defp left({:struct, struct, fields}, count, outcome) do
    finding(
      "stale_struct",
      :block,
      "%#{inspect(struct)}{} without #{Enum.map_join(fields, ", ", &inspect/1)}",
      "is left by the code_change of #{inspect(outcome.kind.module)}, on #{copies(count, outcome)}"
    )
    |> of(outcome)
  end

  # -- what was not tried

  defp needs(outcome) do
    for({:needs, what} <- outcome.told, do: what)
    |> Enum.frequencies()
    |> Enum.map(fn {what, count} ->
      finding(
        "not_rehearsed",
        :info,
        outcome.kind.module,
        "could not be tried on #{copies(count, outcome)}: needs #{what}"
      )
    end)
  end

  # -- what went well

  defp rehearsed(_outcome, []), do: []

  defp rehearsed(outcome, [first | _] = well) do
    tried = length(outcome.told)
    all = if length(well) == tried, do: "all", else: "#{length(well)}"

    [
      finding(
        "rehearsed",
        :info,
        outcome.kind.module,
        "#{tried} of #{processes(outcome)} rehearsed, #{all} #{does(outcome.kind)}#{shapes(outcome.kind, first)}#{page(well)}#{large(outcome)}"
      )
    ]
  end

  defp does(%{unit: nil}), do: "render"
  defp does(%{page: true}), do: "migrate and render"
  defp does(_kind), do: "migrate"

  defp shapes(%{unit: nil}, _told), do: ""
  defp shapes(_kind, %{before: same, after: same}), do: ": #{same} as before"
  defp shapes(_kind, %{before: before, after: later}), do: ": #{before} → #{later}"

  defp page(well),
    do: if(Enum.any?(well, & &1.root_changed), do: "; the root template is another one", else: "")

  defp large(%{large: 0}), do: ""
  defp large(_outcome), do: "; states of more than 64 KB are not tried"

  # -- branches

  defp may_raise(outcomes, pairs) do
    case for(%{kind: %{page: true}, told: told} <- outcomes, {:ok, told} <- told, do: told.keys) do
      [] ->
        []

      keys ->
        # It is told already what those take that have failed: a view, or a component in it.
        failed =
          for %{kind: %{module: m}, told: told} <- outcomes,
              {:failed, _, _, _, stack} <- told,
              frame <- [inspect(m) <> "." | stack],
              uniq: true,
              do: frame

        for {module, missing} <- Branches.untaken(pairs, keys |> Enum.concat() |> MapSet.new()),
            not Enum.any?(failed, &String.contains?(&1, inspect(module) <> ".")) do
          finding(
            "may_raise",
            :warn,
            module,
            "its new template takes #{Enum.map_join(missing, ", ", &inspect/1)} in a branch that no rehearsed page took, and no live page has it"
          )
        end
    end
  end

  # -- words

  defp copies(_count, %{kind: %{pids: [_]}}), do: "a copy of its state"

  defp copies(count, %{told: told} = outcome),
    do: "#{count} of #{length(told)} copies of states (#{processes(outcome)})"

  defp processes(%{kind: %{pids: [_]}}), do: "1 process"
  defp processes(%{kind: %{pids: pids}}), do: "#{length(pids)} processes"

  # How many processes it is about counts where it blocks or warns.
  defp of(finding, %{kind: %{module: module, pids: pids}}),
    do: Findings.of_processes(finding, module, length(pids))
end
