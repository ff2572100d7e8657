defmodule FlyDeployAgent.Migrating do
  @moduledoc """
  Which processes a commit really migrates: those whose new code has a `code_change` that does something. The one that `use GenServer`
  brings is asked as well, and gives the state back as it came.
  """

  alias FlyDeployAgent.{CodeFacts, Diff}

  @doc "Counts those of `targets` for which the changes bring a migration."
  @spec count([FlyDeployAgent.Target.t()], [FlyDeployAgent.Diff.change()]) :: non_neg_integer
  def count(targets, changes) do
    sources = Map.new(changes, &{&1.module, Diff.asked(&1)})
    asked = for %{units: units} <- targets, {module, _vsn} <- units, uniq: true, do: module
    migrating = for module <- asked, migrates?(sources[module]), into: MapSet.new(), do: module
    Enum.count(targets, fn %{units: units} -> Enum.any?(units, fn {module, _} -> module in migrating end) end)
  end

  defp migrates?(nil), do: true

  defp migrates?(source) do
    with {:ok, beam} <- File.read(source), {:ok, code} <- CodeFacts.functions(beam) do
      is_map_key(code, {:code_change, 4}) or not CodeFacts.keeps_state?(code[{:code_change, 3}])
    else
      _ -> true
    end
  end
end
