Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.TimersTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Timers, Versions}

  @source """
  defmodule T.Ticking do
    use GenServer
    def init(_) do
      Process.send_after(self(), :tick, 1_000)
      {:ok, 0}
    end
    def handle_info(:tick, n) do
      Process.send_after(self(), :tick, 1_000)
      {:noreply, n + 1}
    end
    def handle_info(_other, n), do: {:noreply, n}
    def handle_call(:n, _from, n), do: {:reply, n, n}
  end
  """

  # {what, edits, findings}
  @changes [
    {"nothing that matters", [{"{:reply, n, n}", "{:reply, {n}, n}"}], []},
    {"another name", [{":tick", ":tock"}], [":tick"]},
    {"another shape", [{":tick", "{:tick, 1}"}], [":tick"]},
    {"another name, and both are taken",
     [{":tick", ":tock"}, {"handle_info(:tock, n)", "handle_info(m, n) when m in [:tick, :tock]"}], []},
    {"the timer is not wanted any more",
     [
       {"    Process.send_after(self(), :tick, 1_000)\n", ""},
       {"  def handle_info(:tick, n) do\n    {:noreply, n + 1}\n  end\n", ""}
     ], []},
    {"another name, with a code_change",
     [
       {":tick", ":tock"},
       {"  def handle_call",
        "  def code_change(_, n, _), do: {:ok, Process.send_after(self(), :tock, 1) && n}\n  def handle_call"}
     ], []},
    {"another time", [{"1_000", "2_000"}], []}
  ]

  test "timers whose messages are dropped" do
    for {what, edits, messages} <- @changes do
      new = Versions.edited(@source, edits)

      found =
        Timers.findings(Versions.pairs(Versions.beams(@source), Versions.beams(new)), %{
          T.Ticking => :gen_server
        })

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for(_ <- messages, do: {"messages_changed", :warn})}

      for {f, message} <- Enum.zip(found, messages), do: assert(f.detail =~ "drops #{message}, which timers")
    end
  end
end
