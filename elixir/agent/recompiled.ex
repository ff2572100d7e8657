defmodule FlyDeployAgent.Recompiled do
  @moduledoc """
  Modules that differ although they were only compiled anew. LiveView makes the print of a template from numbers that the compiler counts
  up, so that modules with templates, its own among them, differ after every build that does not take its dependencies from a cache.
  """

  alias FlyDeployAgent.{CodeFacts, Diff}

  @doc "The findings of a comparison, without those of dependencies of which no module does anything else."
  @spec dismissed(Diff.t()) :: [FlyDeployAgent.Findings.finding()]
  def dismissed(%{findings: findings, changes: changes}) do
    Enum.reject(findings, fn finding ->
      finding.name == "dependency_changed" and
        Enum.all?(changes, &(&1.consolidated or to_string(&1.app) != finding.subject or only?(&1)))
    end)
  end

  @doc "Whether a changed module does what it did."
  @spec only?(Diff.change()) :: boolean
  def only?(%{change: :changed, old_md5: md5, file_md5: md5, old_file: old_file, source: source}) do
    case {code(old_file), code(source)} do
      {{:ok, old}, {:ok, new}} -> old == new
      _unreadable -> false
    end
  end

  def only?(_change), do: false

  defp code(file) do
    with {:ok, beam} <- File.read(file),
         {:ok, facts} <- CodeFacts.read(beam),
         {:ok, functions} <- CodeFacts.functions(beam),
         do: {:ok, {functions, facts.exports, facts.behaviours}}
  end
end
