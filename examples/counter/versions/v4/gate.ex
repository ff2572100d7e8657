defmodule Counter.Gate do
  @moduledoc """
  A gate that each turn opens or closes: a `gen_statem` with a function for each state. Version 4 counts its turns from the beginning
  again when they reach a limit, which only a new gate knows: a `code_change` is missing.
  """

  @behaviour :gen_statem

  @vsn 4

  def child_spec(_arg), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}

  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, nil, [])

  def turn, do: :gen_statem.call(__MODULE__, :turn, 5_000)
  def report, do: :gen_statem.call(__MODULE__, :report, 5_000)

  @impl :gen_statem
  def callback_mode, do: :state_functions

  @impl :gen_statem
  def init(nil), do: {:ok, :closed, %{shape: 4, turns: 0, limit: 1_000_000}}

  def closed({:call, from}, :turn, data), do: turned(:open, from, data)
  def closed({:call, from}, :report, data), do: reported(:closed, from, data)

  def open({:call, from}, :turn, data), do: turned(:closed, from, data)
  def open({:call, from}, :report, data), do: reported(:open, from, data)

  defp turned(to, from, data),
    do: {:next_state, to, %{data | turns: rem(data.turns + 1, data.limit)}, {:reply, from, to}}

  defp reported(state, from, data), do: {:keep_state_and_data, {:reply, from, Map.put(data, :state, state)}}
end
