defmodule Counter.Server do
  @moduledoc "One counter. Every tenth count is a milestone, which goes into the journal."

  use GenServer

  alias Counter.{Journal, State}

  @vsn 3

  def start_link(number) do
    GenServer.start_link(__MODULE__, number, name: {:via, Registry, {Counter.Registry, number}})
  end

  # Each of these ends in its call, so a caller that waits for a counter does not stand in this module's code.
  def increment(server), do: GenServer.call(server, :increment)
  def count(server), do: GenServer.call(server, :count)
  def state(server), do: GenServer.call(server, :state)

  @impl GenServer
  def init(number), do: {:ok, State.new(number, 0)}

  @impl GenServer
  def handle_call(:increment, _from, old) do
    state = State.new(old.number, old.count + 1)
    if state.milestone.passed > old.milestone.passed, do: Journal.milestone(state.number, state.count)
    {:reply, state.count, state}
  end

  def handle_call(:count, _from, state), do: {:reply, state.count, state}
  def handle_call(:state, _from, state), do: {:reply, state, state}

  # The migration that goes wrong: every 500th counter refuses it, and the upgrade has to be taken back.
  @impl GenServer
  def code_change(_vsn, %{number: number}, _extra) when rem(number, 500) == 0 do
    raise "counter #{number} cannot take shape 3: its book is closed"
  end

  def code_change(vsn, %{shape: vsn} = old, _extra) when vsn in [1, 2], do: {:ok, State.new(old.number, old.count)}
end
