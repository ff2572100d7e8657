Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.UnderWayTest do
  use ExUnit.Case

  alias FlyDeployAgent.{UnderWay, Versions}

  @server """
  defmodule T.Post do
    use GenServer
    def init(_), do: {:ok, %{n: 0, last: nil}}
    def tell(pid), do: send(pid, {:event, %{"type" => "a", at: 1}})
    def add(pid, n), do: GenServer.cast(pid, {:add, {n, 1}})

    def handle_call(:later, _from, state) do
      Process.send_after(self(), {:retry, %{n: state.n}}, 60_000)
      {:reply, Task.async(fn -> work(state.n) end), state}
    end

    def handle_cast({:add, {n, by}}, state), do: {:noreply, %{state | n: n + by}}
    def handle_info({:event, %{"type" => type}}, state), do: {:noreply, %{state | last: type}}
    def handle_info({:retry, job}, state), do: {:noreply, %{state | n: job.n + 1}}
    def handle_info({:step, step}, state), do: {:noreply, step(step, state)}
    def handle_info({ref, {:ok, n}}, state) when is_reference(ref), do: {:noreply, %{state | n: n}}
    def handle_info(_other, state), do: {:noreply, state}
    defp work(n), do: {:ok, n}
    def later, do: Process.send_after(self(), {:step, {:add, 1, 2}}, 60_000)
    defp step({:add, a, b}, state), do: %{state | n: a + b}
    defp step(_step, state), do: state
  end
  """

  @changes [
    {"nothing that matters", [{"job.n + 1", "job.n + 2"}], []},
    {"a timer's message is to have another key",
     [{"%{n: state.n}}, 60", "%{n: state.n, max: 5}}, 60"}, {"job.n + 1", "min(job.n, job.max)"}], [":max"]},
    {"a key that is asked for with a default", [{"job.n + 1", "Map.get(job, :max, job.n)"}], []},
    {"a key that old messages have, too", [{"%{n: state.n}}, 60", "%{n: state.n, max: 5}}, 60"}], []},
    {"an event has an atom where it had a text, and another clause takes the others",
     [{"%{\"type\" => \"a\", at: 1}", "%{type: \"a\"}"}, {"%{\"type\" => type}", "%{type: type}"}],
     [":type"]},
    {"a clause for the old event stays",
     [
       {"  def handle_info({:retry",
        "  def handle_info({:event, %{type: _}}, state), do: {:noreply, state}\n  def handle_info({:retry"}
     ], []},
    {"a cast gets a further element", [{"{n, 1}}", "{n, 1, :x}}"}, {"{:add, {n, by}}", "{:add, {n, by, _}}"}],
     [""]},
    {"what a message has within gets another shape, and falls to a clause for everything",
     [{"{:add, 1, 2}}", "{:add, {1, 2}}}"}, {"step({:add, a, b}", "step({:add, {a, b}}"}],
     ["a tuple of 2 elements, and not of 3"]},
    {"what a message has within gets another shape, and is taken in both",
     [
       {"{:add, 1, 2}}", "{:add, {1, 2}}}"},
       {"  defp step(_step", "  defp step({:add, {a, b}}, state), do: %{state | n: a + b}\n  defp step(_step"}
     ], []},
    {"a task answers with a map",
     [
       {"{:ok, n}\n", "{:ok, %{n: n}, 1}\n"},
       {"{ref, {:ok, n}}", "{ref, {:ok, %{n: n}, _}}"},
       {"  def handle_info(_other, state), do: {:noreply, state}\n", ""}
     ], [""]}
  ]

  test "what is under way, and the new code does not take as it was sent" do
    old = Versions.beams(@server)

    for {what, edits, wanted} <- @changes do
      pairs = Versions.pairs(old, @server |> Versions.edited(edits) |> Versions.beams())
      found = UnderWay.findings(pairs, %{T.Post => :gen_server})

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for(_ <- wanted, do: {"messages_changed", :warn})}

      for {f, text} <- Enum.zip(found, wanted), do: assert(f.detail =~ text)
      assert UnderWay.findings(pairs, %{}) == []
    end
  end
end
