defmodule Counter.Gate do
  @moduledoc """
  A gate that each turn opens or closes: a `gen_statem`. Version 2 handles all states in one function, and counts
  openings and closings apart.
  """

  @behaviour :gen_statem

  @vsn 2

  def child_spec(_arg), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}

  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, nil, [])

  def turn, do: :gen_statem.call(__MODULE__, :turn, 5_000)
  def report, do: :gen_statem.call(__MODULE__, :report, 5_000)

  @impl :gen_statem
  def callback_mode, do: :handle_event_function

  @impl :gen_statem
  def init(nil), do: {:ok, :closed, %{shape: 2, opened: 0, closed: 0}}

  @impl :gen_statem
  def handle_event({:call, from}, :turn, :closed, data) do
    {:next_state, :open, %{data | opened: data.opened + 1}, {:reply, from, :open}}
  end

  def handle_event({:call, from}, :turn, :open, data) do
    {:next_state, :closed, %{data | closed: data.closed + 1}, {:reply, from, :closed}}
  end

  def handle_event({:call, from}, :report, state, data) do
    report = Map.merge(data, %{state: state, turns: data.opened + data.closed})
    {:keep_state_and_data, {:reply, from, report}}
  end

  # A gate starts closed, so of an odd number of turns one more opened it than closed it.
  @impl :gen_statem
  def code_change(1, state, %{shape: 1, turns: turns}, _extra) do
    {:ok, state, %{shape: 2, opened: div(turns + 1, 2), closed: div(turns, 2)}}
  end
end
