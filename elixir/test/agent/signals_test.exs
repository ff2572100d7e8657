Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.SignalsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Signals, Versions}

  @source """
  defmodule T.Joined do
    use GenServer
    def init(_), do: {:ok, %{}}
    def handle_info({:DOWN, _, :process, p, _}, s), do: {:noreply, Map.delete(s, p)}
    def handle_info(_, s), do: {:noreply, s}
    def handle_call({:join, p}, _, s), do: {:reply, :ok, Map.put(s, p, Process.monitor(p))}
  end
  """

  # {what, edits, whether it monitors somebody, findings}
  @changes [
    {"nothing that matters", [{"Map.delete(s, p)", "Map.drop(s, [p])"}], true, []},
    {"a tag of its own", [{"{:DOWN, _,", "{:gone, _,"}], true, ["drops {:DOWN, _, _, _, _}"]},
    {"a tag of its own, and nobody is monitored", [{"{:DOWN, _,", "{:gone, _,"}], false, []},
    {"links instead", [{"{:DOWN, _, :process, p, _}", "{:EXIT, p, _}"}], true,
     ["processes that were monitored"]},
    {"it is not wanted any more",
     [{"  def handle_info({:DOWN, _, :process, p, _}, s), do: {:noreply, Map.delete(s, p)}\n", ""}], true,
     []},
    {"both are taken",
     [
       {"  def handle_info(_,",
        "  def handle_info({:gone, p}, s), do: {:noreply, Map.delete(s, p)}\n  def handle_info(_,"}
     ], true, []}
  ]

  test "messages of processes that were monitored before" do
    for {what, edits, monitors?, findings} <- @changes do
      new = Versions.edited(@source, edits)

      found =
        Signals.findings(Versions.pairs(Versions.beams(@source), Versions.beams(new)), [
          %{module: T.Joined, kind: :gen_server, pid: server(monitors?)}
        ])

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for(_ <- findings, do: {"messages_changed", :warn})}

      for {f, evidence} <- Enum.zip(found, findings), do: assert(f.detail =~ evidence)
    end
  end

  defp server(monitors?) do
    {test, ref} = {self(), make_ref()}

    pid =
      spawn_link(fn ->
        if monitors?, do: Process.monitor(test)
        send(test, ref)
        Process.sleep(:infinity)
      end)

    receive do: (^ref -> pid)
  end
end
