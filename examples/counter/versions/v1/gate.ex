defmodule Counter.Gate do
  @moduledoc "A gate that each turn opens or closes: a `gen_statem` with a function for each state."

  @behaviour :gen_statem

  @vsn 1

  def child_spec(_arg), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}

  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, nil, [])

  def turn, do: :gen_statem.call(__MODULE__, :turn, 5_000)
  def report, do: :gen_statem.call(__MODULE__, :report, 5_000)

  @impl :gen_statem
  def callback_mode, do: :state_functions

  @impl :gen_statem
  def init(nil), do: {:ok, :closed, %{shape: 1, turns: 0}}

  def closed({:call, from}, :turn, data), do: turned(:open, from, data)
  def closed({:call, from}, :report, data), do: reported(:closed, from, data)

  def open({:call, from}, :turn, data), do: turned(:closed, from, data)
  def open({:call, from}, :report, data), do: reported(:open, from, data)

  defp turned(to, from, data), do: {:next_state, to, %{data | turns: data.turns + 1}, {:reply, from, to}}

  defp reported(state, from, data), do: {:keep_state_and_data, {:reply, from, Map.put(data, :state, state)}}
end
