defmodule FlyDeployAgent.Versions do
  @moduledoc "Compiles two versions of some modules, for tests that compare them. None of them stays loaded."

  import ExUnit.Assertions

  alias FlyDeployAgent.{CodeFacts, Pair}

  @doc "The `.beam`s of a source, by module. Each source is compiled once."
  @spec beams(binary) :: %{module => binary}
  def beams(source) do
    key = {__MODULE__, source}
    beams = :persistent_term.get(key, nil) || compile(source)
    :persistent_term.put(key, beams)
    for {module, _} <- beams, do: :code.purge(module) && :code.delete(module) && :code.purge(module)
    beams
  end

  defp compile(source) do
    {beams, _warnings} =
      ExUnit.CaptureIO.with_io(:stderr, fn ->
        Code.compiler_options(ignore_module_conflict: true)
        Code.compile_string(source)
      end)

    Map.new(beams)
  end

  @doc "A source with all of the edits, `{from, to}`: each finds its text."
  @spec edited(binary, [{binary, binary}]) :: binary
  def edited(source, edits) do
    Enum.reduce(edits, source, fn {from, to}, text ->
      assert text =~ from
      String.replace(text, from, to)
    end)
  end

  @doc "The modules that differ, as `FlyDeployAgent.CodeFindings` compares them."
  @spec pairs(%{module => binary}, %{module => binary}) :: [Pair.t()]
  def pairs(old, new) do
    for {module, beam} <- new,
        old[module] == nil or :code.module_md5(old[module]) != :code.module_md5(beam) do
      %Pair{
        module: module,
        old: if(old[module], do: facts(old[module])),
        new: facts(beam),
        old_code: fn -> code(old[module]) end,
        new_code: fn -> code(beam) end
      }
    end
  end

  defp facts(beam) do
    {:ok, facts} = CodeFacts.read(beam)
    facts
  end

  defp code(beam) do
    {:ok, code} = CodeFacts.functions(beam)
    code
  end
end
