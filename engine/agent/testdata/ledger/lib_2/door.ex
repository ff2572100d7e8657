defmodule Ledger.Door do
  @behaviour :gen_statem

  def child_spec(_), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}
  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, [], [])
  def push, do: :gen_statem.call(__MODULE__, :push)

  @impl true
  def callback_mode, do: :state_functions

  @impl true
  def init([]), do: {:ok, :closed, %{since: 0}}

  def closed({:call, from}, :push, data), do: {:keep_state, data, [{:reply, from, "closed 2"}]}
  def handle_event({:call, from}, :push, :closed, data), do: {:keep_state, data, [{:reply, from, "any 2"}]}

  @impl true
  def code_change(_vsn, state, data, []), do: {:ok, state, Map.put(data, :v2, true)}
end
