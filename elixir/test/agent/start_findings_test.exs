Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.StartFindingsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Pair, StartFindings, Value, Versions}

  @source """
  defmodule T.Feed do
    use GenServer
    def init(opts) do
      if opts[:mode] == :active, do: Process.send_after(self(), :poll, 1_000)
      {:ok, %{mode: opts[:mode]}}
    end
    def handle_call(:size, _, s), do: {:reply, size(s), s}
    def handle_info(:poll, s), do: {:noreply, s}
    defp size(_), do: :small
  end
  """

  @edits [
    {"== :active,", "in [:active, :passive],"},
    {"%{mode: opts[:mode]}", "%{mode: opts[:mode], max: 5}"},
    {"size(_), do: :small", "size(s), do: if(s[:max] == 5, do: :large, else: :small)"}
  ]

  defp found(states, demanded, time_ms \\ 60_000) do
    [pair] = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(@edits) |> Versions.beams())
    by_module = %{T.Feed => pair}

    shapes =
      for state <- states, do: %{holder: T.Feed, found: {:shape, :gen_server, Value.of(state)}, pid: self()}

    StartFindings.all(shapes, by_module, &Pair.code_of(by_module, &1, &2), demanded, time_ms)
  end

  test "what starts do otherwise is told with the processes that have not" do
    assert [polls, sets] = found([%{mode: :passive}, %{mode: :passive}, %{mode: :active}], [])

    assert %{name: "init_changed", severity: :warn, subject: "T.Feed", processes: 2, modules: [T.Feed]} =
             polls

    # Which of both the compiler writes depends on its version.
    assert polls.detail =~ ~r/now calls (Process|:erlang)\.send_after\/3 \(:poll\) when it starts with/
    assert polls.detail =~ "2 processes of T.Feed, which may have started so, have not done that"
    assert %{name: "init_changed", processes: 3} = sets
    assert sets.detail =~ "now sets :max when it starts, by which handle_call/3 does other things"
  end

  test "what is demanded anyway is told once, and where no process is concerned, nothing is" do
    assert [_polls] = found([%{mode: :passive}], [%{modules: [T.Feed], keys: [:max]}])
    assert found([%{mode: :active, max: 3}], []) == []
  end

  test "states that there was no time for" do
    assert [%{name: "init_changed"}, %{name: "not_compared", detail: detail}] =
             found([%{mode: :passive}], [], 0)

    assert detail =~ "there was no time to follow the states of 1 module with"
  end
end
