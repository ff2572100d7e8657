Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.NewStatesTest do
  use ExUnit.Case

  alias FlyDeployAgent.{NewStates, Pair, Value, Versions}

  @source """
  defmodule T.Tries do
    use GenServer
    def start_link(opts), do: GenServer.start_link(__MODULE__, %{opts: opts, n: 0})
    def init(state), do: {:ok, state}
    def handle_call(:try, _, s), do: {:reply, next(s), s}
    def handle_call(:n, _, s), do: {:reply, s.n, s}
    def handle_cast({:log, x}, s), do: {:noreply, log(s, x)}
    def handle_cast({:set, n}, s), do: {:noreply, set(s, n)}
    defp next(_s), do: :again
    defp log(s, x), do: {Logger.bare_log(:info, x), s} |> elem(1)
    defp set(s, n), do: %{s | n: n}
  end
  """

  @keeps {"%{opts: opts, n: 0}", "%{opts: Keyword.put_new(opts, :retries, 0), n: 0}"}
  @sets {"%{opts: opts, n: 0}", "%{opts: opts, n: 0, limit: 5}"}

  # {what, edits, [{keys, callback}]}
  @changes [
    {"an option that is nil for those that run, and compared",
     [@keeps, {"next(_s), do: :again", "next(s), do: if(s.n < s.opts[:retries], do: :again, else: :ends)"}],
     [{[:opts, :retries], {:handle_call, 3}}]},
    {"by which something is called",
     [@sets, {"next(_s), do: :again", "next(s), do: if(s[:limit], do: T.Gate.pass(s.limit), else: :again)"}],
     [{[:limit], {:handle_call, 3}}]},
    {"the same among the defaults of options",
     [
       {"%{opts: opts, n: 0}", "%{opts: Keyword.merge([retries: 0], opts), n: 0}"},
       {"next(_s), do: :again",
        "next(s), do: if(Keyword.get(s.opts, :retries) == 0, do: :ends, else: :again)"}
     ], [{[:opts, :retries], {:handle_call, 3}}]},
    {"something of another kind, and compared",
     [
       {"n: 0}", "n: {0, :s}}"},
       {"next(_s), do: :again", "next(s), do: if(s.n == {0, :s}, do: :ends, else: :again)"}
     ], [{[:n], {:handle_call, 3}}]},
    {"a default where it is read",
     [
       @keeps,
       {"next(_s), do: :again",
        "next(s), do: if(s.n < Keyword.get(s.opts, :retries, 0), do: :again, else: :ends)"}
     ], []},
    {"what is called for want of it may give the same",
     [
       @sets,
       {"next(_s), do: :again", "next(s), do: T.Gate.pass(s[:limit] || Application.get_env(:t, :limit))"}
     ], []},
    {"it is off, as if it were not there",
     [
       {"%{opts: opts, n: 0}", "%{opts: opts, n: 0, strict: false}"},
       {"next(_s), do: :again", "next(s), do: if(s[:strict], do: :ends, else: :again)"}
     ], []},
    {"it is logged",
     [@sets, {"{Logger.bare_log(:info, x), s}", "{s[:limit] && Logger.bare_log(:info, x), s}"}], []},
    {"nobody reads it", [@sets], []},
    {"the running version sets it",
     [{"next(_s), do: :again", "next(s), do: if(s.opts[:retries], do: :ends, else: :again)"}], []},
    {"others put it there in the course of time",
     [
       @sets,
       {"next(_s), do: :again", "next(s), do: if(s[:limit], do: :ends, else: :again)"},
       {"%{s | n: n}", "Map.put(s, :limit, n)"}
     ], []},
    {"a code_change brings it",
     [
       @sets,
       {"next(_s), do: :again", "next(s), do: if(s[:limit], do: :ends, else: :again)"},
       {"  defp next", "  def code_change(_, s, _), do: {:ok, Map.put(s, :limit, 5)}\n  defp next"}
     ], []}
  ]

  defp lacked(edits, states) do
    [pair] = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())

    NewStates.lacked(
      pair,
      for(s <- states, do: {:gen_server, Value.of(s)}),
      &Pair.code_of(%{T.Tries => pair}, &1, &2)
    )
  end

  for {{what, _, _}, n} <- Enum.with_index(@changes) do
    @case_number n
    test "what a start sets: #{what}" do
      {_, edits, expected} = Enum.at(@changes, @case_number)
      states = [%{opts: [home: 1], n: 0}, %{opts: [home: 2], n: 4}]
      assert lacked(edits, states) == for({keys, callback} <- expected, do: {keys, callback, 2})
    end
  end

  test "states that have it lack nothing, and of those that are not known as a whole nothing is said" do
    edits = [@sets, {"next(_s), do: :again", "next(s), do: if(s[:limit], do: :ends, else: :again)"}]
    assert lacked(edits, [%{opts: [], n: 0, limit: 4}]) == []
    many = Map.new(1..70, &{:"key_#{&1}", &1})
    assert lacked(edits, [many]) == []
    assert [{[:limit], _, 1}] = lacked(edits, [many, %{opts: [], n: 0}])
  end
end
