defmodule FlyDeployAgent.DemandFindings do
  @moduledoc "What is told of demands that states do not meet (`FlyDeployAgent.Demands`)."

  alias FlyDeployAgent.Paths

  @doc """
  The findings about a module's states: what is demanded of each, with how it is known, by how many processes it is held, and in which
  function.
  """
  @spec all(%{{Paths.demand(), of :: binary} => [{known? :: boolean, pos_integer, mfa}]}, module) :: [
          FlyDeployAgent.Findings.finding()
        ]
  def all(found, module) do
    {keys, others} = Enum.split_with(found, &match?({{{:key, _, nil}, _}, _}, &1))

    Enum.map(by_holder(keys), &missing(&1, module)) ++
      (others |> Enum.take(1) |> Enum.map(&unlike(&1, module)))
  end

  defp by_holder(keys), do: keys |> Enum.group_by(fn {{_, of}, _} -> of end) |> Map.to_list()

  defp missing({of, found}, module) do
    lacking = for {{{:key, key, _}, _}, _} <- found, do: key
    keys = Enum.map(lacking, &inspect/1)
    told = Enum.flat_map(found, &elem(&1, 1))

    finding(
      {told, module},
      "#{inspect(module)}'s #{of} without #{keys |> Enum.take(5) |> Enum.join(", ")}",
      "#{held(told, module)}; the new code takes it#{places(told, module)}, and no code_change brings it"
    )
    |> Map.put(:keys, lacking)
  end

  defp unlike({{demand, of}, told}, module) do
    finding(
      {told, module},
      "#{inspect(module)}'s #{of}",
      "#{held(told, module)}, and is not what the new code takes#{places(told, module)}: #{wants(demand)}"
    )
  end

  @doc "What is demanded, as people say it."
  @spec wants(Paths.demand()) :: binary
  def wants({:arity, n, m}), do: "a tuple of #{n} elements, and not of #{m}"
  def wants({:callable, n, m}), do: "a function of #{n} arguments, and not of #{m}"
  def wants({:type, type}), do: "a #{type}"
  def wants({:function, {m, f, a}}), do: "a module with #{f}/#{a}, which #{inspect(m)} does not have"
  def wants({:counters, n, size}), do: "#{n} counters, of which it has #{size}"
  def wants({:key, key, nil}), do: "the key #{inspect(key)}, which it lacks"
  def wants({:key, key, struct}), do: "#{inspect(key)}, which %#{inspect(struct)}{} lacks"
  def wants({:value, nil}), do: "another value"
  def wants({:value, term}), do: inspect(term)

  # Of each shape the same processes hold it.
  defp held(told, module) do
    case count(told) do
      1 -> "is held by 1 process of #{inspect(module)}"
      count -> "is held by #{count} processes of #{inspect(module)}"
    end
  end

  defp count(told), do: told |> Enum.map(&elem(&1, 1)) |> Enum.max()

  defp places([{_, _, {m, f, a}} | _], module) do
    name =
      case String.split(Atom.to_string(f), "/") do
        ["-" <> f, _ | _] -> f
        _ -> "#{f}/#{a}"
      end

    if m == module, do: " (in #{name})", else: " (in #{inspect(m)}.#{name})"
  end

  defp finding({told, module}, subject, detail) do
    severity = if Enum.any?(told, &elem(&1, 0)), do: :block, else: :warn

    %{
      name: "stale_shape",
      severity: severity,
      subject: subject,
      detail: detail,
      processes: count(told),
      modules: [module]
    }
  end
end
