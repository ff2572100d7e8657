Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.OptionalTest do
  use ExUnit.Case

  alias FlyDeployAgent.{CodeFacts, Optional, Value, Versions}

  @source """
  defmodule T.Stage do
    use GenServer
    def init(mod), do: {:ok, %{mod: mod, discards?: function_exported?(mod, :discarded, 1)}}
    def handle_call(:f, _, s), do: {:reply, function_exported?(s.mod, :later, 1), s}
  end

  defmodule T.Producer do
    def produce, do: 1
  end
  """

  # {what, what is added, findings}
  @changes [
    {"nothing that matters", "", []},
    {"what was asked for at the start", "def discarded(n), do: n", ["now has discarded/1; T.Stage asks"]},
    {"of another arity", "def discarded(a, b), do: a + b", []},
    {"what is asked for each time", "def later(n), do: n", []}
  ]

  test "callbacks that are added" do
    old = Versions.beams(@source)
    {:ok, stage} = CodeFacts.functions(old[T.Stage])

    for {what, added, findings} <- @changes,
        {mod, findings} <- [{T.Producer, findings}, {T.Other, []}] do
      new = Versions.beams(String.replace(@source, "def produce, do: 1", "def produce, do: 2\n  #{added}"))
      states = %{T.Stage => [Value.of(%{mod: mod, discards?: false})]}
      found = Optional.findings(Versions.pairs(old, new), states, fn _version, T.Stage -> stage end)
      assert {what, mod, length(found)} == {what, mod, length(findings)}
      for {f, evidence} <- Enum.zip(found, findings), do: assert(f.detail =~ evidence)
    end
  end
end
