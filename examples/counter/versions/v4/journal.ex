defmodule Counter.Journal do
  @moduledoc "Counts milestones: a `gen_event` manager, and this module as its only handler."

  @behaviour :gen_event

  @vsn 1

  def child_spec(_arg), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}, modules: :dynamic}

  def start_link do
    with {:ok, pid} <- :gen_event.start_link({:local, __MODULE__}) do
      :ok = :gen_event.add_handler(pid, __MODULE__, nil)
      {:ok, pid}
    end
  end

  def milestone(number, count), do: :gen_event.notify(__MODULE__, {:milestone, number, count})

  def report, do: :gen_event.call(__MODULE__, __MODULE__, :report)

  @impl :gen_event
  def init(nil), do: {:ok, %{shape: 1, milestones: 0}}

  @impl :gen_event
  def handle_event({:milestone, _number, _count}, journal) do
    {:ok, %{journal | milestones: journal.milestones + 1}}
  end

  @impl :gen_event
  def handle_call(:report, journal), do: {:ok, journal, journal}
end
