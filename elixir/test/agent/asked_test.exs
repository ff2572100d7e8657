Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.AskedTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Asked, CodeFacts, Pair, Versions}

  @source """
  defmodule T.Asker do
    def count, do: GenServer.call(:asked_test, :count)
    def note(text), do: GenServer.cast(:asked_test, {:note, text})
  end

  defmodule T.Answerer do
    use GenServer
    def init(n), do: {:ok, n}
    def handle_call(:count, _from, n), do: {:reply, n, n}
    def handle_call({:count, name}, _from, n) when is_atom(name), do: {:reply, n, n}
    def handle_cast({:note, _text}, n), do: {:noreply, n}
  end
  """

  # {what, edits, findings}
  @changes [
    {"nothing that matters", [{"note(text)", "note(t)"}, {"{:note, text}", "{:note, t}"}], []},
    {"a message that the server takes", [{":count)", "{:count, :all})"}], []},
    {"a message that it has no clause for", [{":asked_test, :count)", ":asked_test, {:count, :all, 1})"}],
     [{"message_refused", "{:count, _, _} to :asked_test"}]},
    {"a cast that it has no clause for", [{"{:note, text})", "{:notes, [text]})"}],
     [{"message_refused", "{:notes, _}"}]},
    {"a message that it learns at the same time",
     [{":asked_test, :count)", ":asked_test, :total)"}, {"handle_call(:count,", "handle_call(:total,"}], []},
    {"a process that is not there", [{":asked_test, :count)", ":nobody_here, :count)"}],
     [{"missing_process", ":nobody_here"}]},
    {"a process that is not there, whose absence is caught",
     [
       {"GenServer.call(:asked_test, :count)",
        "(try do GenServer.call(:nobody_here, :count) catch :exit, _ -> 0 end)"}
     ], []},
    {"a process that is not there, whose absence a caller catches",
     [
       {"def count, do: GenServer.call(:asked_test, :count)",
        "def count, do: (try do one(1) catch :exit, _ -> 0 end)\n  defp one(n), do: n + GenServer.call(:nobody_here, :count)"}
     ], []},
    {"a process that is not there, whose absence one caller of two catches",
     [
       {"def count, do: GenServer.call(:asked_test, :count)",
        "def count, do: (try do one(1) catch :exit, _ -> 0 end)\n  def two, do: one(2) + 1\n  defp one(n), do: n + GenServer.call(:nobody_here, :count)"}
     ], [{"missing_process", ":nobody_here"}]},
    {"a cast to a process that is not there", [{"cast(:asked_test", "cast(:nobody_here"}], []},
    {"a process that is looked for before",
     [
       {"GenServer.call(:asked_test, :count)",
        "if(Process.whereis(:nobody_here), do: GenServer.call(:nobody_here, :count))"}
     ], []}
  ]

  test "what servers are asked by their names" do
    old = Versions.beams(@source)
    # Compiling purges what is loaded.
    changed =
      for {what, edits, findings} <- @changes,
          do: {what, Versions.beams(Versions.edited(@source, edits)), findings}

    {:module, _} = :code.load_binary(T.Answerer, ~c"nofile", old[T.Answerer])
    {:ok, _} = GenServer.start_link(T.Answerer, 1, name: :asked_test)

    for {what, new, findings} <- changed do
      pairs = Versions.pairs(old, new)

      codes = fn :new, module ->
        case Enum.find(pairs, &(&1.module == module)) do
          nil -> with {:ok, code} <- CodeFacts.functions(old[module]), do: code
          pair -> Pair.code(pair, :new)
        end
      end

      found = Asked.findings(pairs, codes)

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for({name, _} <- findings, do: {name, :warn})}

      for {f, {_, evidence}} <- Enum.zip(found, findings), do: assert(f.detail =~ evidence)
    end
  end
end
