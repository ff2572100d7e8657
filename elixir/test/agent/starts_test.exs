Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.StartsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Starts, Versions}

  @source """
  defmodule T.Pool do
    use GenServer
    def start_link(opts), do: GenServer.start_link(__MODULE__, Keyword.put_new(opts, :wait, 50))
    def init(opts) do
      state = %{size: opts[:size] || 5, wait: Keyword.get(opts, :wait), keep: Keyword.get(opts, :keep, 3), n: 0}
      if opts[:lazy], do: {:ok, Map.put(state, :keep, 9)}, else: {:ok, state}
    end
  end
  """

  # {what, edits, settings}
  @changes [
    {"another default of an option", [{":keep, 3)", ":keep, 4)"}], []},
    {"the same, however it starts",
     [
       {":keep, 3)", ":keep, 4)"},
       {"if opts[:lazy], do: {:ok, Map.put(state, :keep, 9)}, else: {:ok, state}", "{:ok, state}"}
     ], []},
    {"another default after ||", [{"|| 5", "|| 6"}], [{[:size], 5}]},
    {"another default in start_link", [{":wait, 50)", ":wait, 60)"}], [{[:wait], 50}]},
    {"another number within", [{"n: 0}", "n: 0, at: {:fixed, 30}}"}], []},
    {"the same in other words",
     [{"opts[:size] || 5", "Keyword.get(opts, :size, 5)"}, {"n: 0}", "n: 0, at: 1}"}], []}
  ]

  test "settings that a start sets otherwise" do
    for {what, edits, settings} <- @changes do
      [pair] = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
      assert {what, Starts.settings(pair)} == {what, settings}
    end
  end

  test "states that it may start with" do
    [pair] =
      Versions.pairs(Versions.beams(@source), @source |> String.replace("|| 5", "|| 6") |> Versions.beams())

    assert for({:map, values, _} <- Starts.states(pair, :old), do: values[:wait]) |> Enum.uniq() == [
             {:default, 50}
           ]
  end
end
