defmodule Zoo.Application do
  use Application

  def start(_type, _args) do
    children = [
      spec(:plain, {Zoo.Plain, :start_link, [:plain]}),
      spec(:sleeper, {Zoo.Plain, :start_link, [:sleeper]}),
      spec(:labelled, {Zoo.Labelled, :start_link, [{{Zoo.Labelled, :work, 2}, :labelled}]}),
      spec(:masked, {Zoo.Labelled, :start_link, [{{Zoo.Nobody, :work, 2}, :masked}]}),
      spec(:drowsy, {Zoo.Labelled, :start_link, [{{Zoo.Labelled, :work, 2}, :drowsy}]}),
      spec(:dreamer, {Zoo.Labelled, :start_link, [{{Zoo.Nobody, :work, 2}, :dreamer}]}),
      spec(:worker, {Zoo.Base, :start_link, [{Zoo.Worker, :worker}]}),
      spec(:other, {Zoo.Base, :start_link, [{Zoo.Other, :other}]}),
      spec(:door, {Zoo.Door, :start_link, [:door]}),
      spec(:events, {:gen_event, :start_link, [{:local, :events}]}),
      spec(:by_fun, {Zoo.Store, :by_fun, [:by_fun]}),
      spec(:by_name, {Zoo.Store, :by_name, [:by_name]}),
      spec(:view, {Phoenix.LiveView.Channel, :start_link, [{Zoo.View, :view}]}),
      spec(:still, {Phoenix.LiveView.Channel, :start_link, [{Zoo.StillView, :still}]}),
      spec(:room, {Phoenix.Channel.Server, :start_link, [{Zoo.Room, :room}]}),
      spec(:special, {Zoo.Special, :start_link, [:special]}),
      spec(:extinct, {Task, :start_link, [Zoo.Extinct, :run, []]}),
      {DynamicSupervisor, name: Zoo.Nursery},
      Zoo.Cage,
      Zoo.Endpoint,
      Keeper,
      {Ledger.Control, System.fetch_env!("LEDGER_CONTROL")}
    ]

    with {:ok, _} = started <- Supervisor.start_link(children, strategy: :one_for_one, name: Zoo.Supervisor) do
      :ok = :gen_event.add_handler(:events, Zoo.Handler, nil)
      for name <- [:sleeper, :drowsy, :dreamer], do: :ok = GenServer.call(name, :hibernate)
      started
    end
  end

  defp spec(id, start), do: %{id: id, start: start}
end
