defmodule Counter.Server do
  @moduledoc """
  One counter. Every tenth count is a milestone, which goes into the journal. Version 4 counts by steps, which no state of an earlier
  version has: a `code_change` is missing.
  """

  use GenServer

  alias Counter.{Best, Journal, State}

  @vsn 4

  def start_link(number) do
    GenServer.start_link(__MODULE__, number, name: {:via, Registry, {Counter.Registry, number}})
  end

  # Each of these ends in its call, so a caller that waits for a counter does not stand in this module's code.
  def increment(server), do: GenServer.call(server, :increment)
  def count(server), do: GenServer.call(server, :count)
  def state(server), do: GenServer.call(server, :state)

  @impl GenServer
  def init(number), do: {:ok, %State{number: number}}

  @impl GenServer
  def handle_call(:increment, _from, state) do
    state = %State{state | count: state.count + state.step}
    Best.offer(state.number, state.count)
    if rem(state.count, 10) == 0, do: Journal.milestone(state.number, state.count)
    {:reply, state.count, state}
  end

  def handle_call(:count, _from, state), do: {:reply, state.count, state}
  def handle_call(:state, _from, state), do: {:reply, state, state}
end
