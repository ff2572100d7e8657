Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.WatchedTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Value, Versions, Watched}

  @source """
  defmodule T.Feed do
    use GenServer
    def init(owner), do: {:ok, %{owner: owner, readers: []}}
    def handle_call({:read, pid}, _, s), do: {:reply, :ok, %{s | readers: [pid | s.readers]}}
  end
  """
  @monitor {"do: {:reply, :ok, ", "do: Process.monitor(pid) && {:reply, :ok, "}
  @down {"  def handle_call",
         "  def handle_info({:DOWN, _, :process, pid, _}, s), do: {:noreply, %{s | readers: s.readers -- [pid]}}\n  def handle_call"}

  # {what, edits, whether those that hold some are told of}
  @changes [
    {"monitors, and takes what comes of it", [@monitor, @down], true},
    {"monitors alone", [@monitor], false},
    {"a clause alone", [@down], false},
    {"monitors when it starts", [@down, {"do: {:ok, %{owner", "do: Process.monitor(owner) && {:ok, %{owner"}],
     false},
    {"links as well", [@monitor, @down], {"{:reply, :ok, %{s", "Process.link(pid) && {:reply, :ok, %{s"}},
    {"a code_change",
     [
       @monitor,
       @down,
       {"  def init(",
        "  def code_change(_, s, _), do: {:ok, watch(s)}\n  defp watch(s), do: Enum.map(s.readers, &Process.monitor/1) && s\n  def init("}
     ], false}
  ]

  # {what is held, whether that is some}
  @held [
    {:list, true},
    {:set, true},
    {:map, true},
    {:none, false}
  ]

  test "processes that are held, and that nobody monitors" do
    for {what, edits, told} <- @changes, {how, some} <- @held do
      old = if is_tuple(told), do: Versions.edited(@source, [told]), else: @source

      edits =
        if is_tuple(told), do: [{"Process.link(pid) && ", "Process.monitor(pid) && "}, @down], else: edits

      pairs = Versions.pairs(Versions.beams(old), old |> Versions.edited(edits) |> Versions.beams())
      states = %{T.Feed => [Value.of(%{owner: self(), readers: readers(how)})]}
      found = Watched.findings(states, Map.new(pairs, &{&1.module, &1}))
      wanted = if told == true and some, do: [{"init_changed", :warn, 1}], else: []
      assert {what, how, for(f <- found, do: {f.name, f.severity, f.processes})} == {what, how, wanted}
    end
  end

  defp readers(:list), do: [self()]
  defp readers(:set), do: MapSet.new([self()])
  defp readers(:map), do: %{"a" => {self(), 1}}
  defp readers(:none), do: [owner: self()]
end
