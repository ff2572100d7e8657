Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.StateKeysTest do
  use ExUnit.Case

  alias FlyDeployAgent.{StateKeys, Versions}

  @server """
  defmodule T.Keys do
    use GenServer
    def init(name), do: {:ok, %{name: name, n: 0}}
    def handle_call(:n, _from, state), do: {:reply, state.n, state}
    def handle_cast(:add, state), do: {:noreply, %{state | n: state.n + 1}}
  end
  """

  @starts {"%{name: name, n: 0}", "%{name: name, n: 0, at: nil}"}

  @changes [
    {"a key that is set at the start and read", [@starts, {"state.n, state}", "{state.n, state.at}, state}"}],
     [:at]},
    {"a key that is set at the start and updated", [@starts, {"n: state.n + 1", "n: state.n + 1, at: 1"}],
     [:at]},
    {"a key of a constant state",
     [{"%{name: name, n: 0}", "%{n: 0, at: nil}"}, {"state.n, state}", "state.at, state}"}], [:at]},
    {"a key that only a function has to have", [@starts, {"state.n, state}", "Map.get(state, :at), state}"}],
     []},
    {"a key that nobody takes", [@starts], []},
    {"a key that another map has", [{"state.n, state}", "%{at: 1}.at, state}"}], []},
    {"other code with the same keys", [{"state.n, state}", "state.n + 1, state}"}], []}
  ]

  test "the keys that are new in states and are taken from them" do
    old = Versions.beams(@server)

    for {what, edits, keys} <- @changes do
      new =
        Enum.reduce(edits, @server, fn {from, to}, text ->
          assert text =~ from
          String.replace(text, from, to)
        end)

      [pair] = Versions.pairs(old, Versions.beams(new))
      assert {what, StateKeys.new(pair)} == {what, keys}
    end
  end
end
