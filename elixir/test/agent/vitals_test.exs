defmodule FlyDeployAgent.VitalsTest do
  # The handler sees what every process of the VM logs.
  use ExUnit.Case, async: false

  alias FlyDeployAgent.{Supervisors, Vitals, Watch}

  @moduletag :capture_log

  setup do
    table = Watch.open(self())
    on_exit(&Watch.close/0)
    {:ok, table: table}
  end

  test "what a look tells", %{table: table} do
    pid = start_supervised!({Task, fn -> Process.sleep(:infinity) end})
    for n <- 1..5_000, do: send(pid, n)
    vitals = Vitals.look(Vitals.start(), table, [%{pid: pid, module: Shop.Cart}])
    assert %{told: told, before: nil} = vitals

    assert told.memory > 1_000_000 and told.processes > 20 and told.run_queue >= 0 and
             told.schedulers in 0..100

    assert {told.mailbox, told.mailbox_of} == {5_000, "Shop.Cart"}
    assert {told.crashes, told.restarts} == {0, 0}
    assert Vitals.committing(vitals).before == told
  end

  test "the mailboxes of processes with names are looked at as well", %{table: table} do
    pid = start_supervised!({Task, fn -> Process.sleep(:infinity) end})
    Process.register(pid, :shop_cart)
    for n <- 1..5_000, do: send(pid, n)
    assert %{told: %{mailbox: 5_000, mailbox_of: ":shop_cart"}} = Vitals.look(Vitals.start(), table, [])
  end

  test "crashes and restarts are those of the last minute", %{table: table} do
    vitals = Vitals.look(Vitals.start(), table, [])
    crash = %{level: :error, msg: {:string, "x"}, meta: %{pid: self(), crash_reason: {:odd, []}}}
    for _ <- 1..3, do: Watch.log(crash, %{config: %{table: table}})
    offender = [restart_type: :permanent, mfargs: {Shop.Cart, :start_link, []}]

    restart =
      {:report, %{label: {:supervisor, :child_terminated}, report: [supervisor: Shop, offender: offender]}}

    for _ <- 1..2, do: Supervisors.filter(%{msg: restart, meta: %{pid: self()}}, table)
    assert %{told: %{crashes: 3, restarts: 2}} = vitals = Vitals.look(vitals, table, [])
    # As if that were long ago.
    counts = for {at, crashes, restarts} <- vitals.counts, do: {at - 61_000, crashes, restarts}

    assert %{told: %{crashes: 0, restarts: 0}, counts: [_]} =
             Vitals.look(%{vitals | counts: counts}, table, [])
  end

  test "who goes on as the agent does not know at first how busy the schedulers are", %{table: table} do
    vitals = %{Vitals.start() | wall: :undefined}
    assert %{told: %{schedulers: nil}} = vitals = Vitals.look(vitals, table, [])
    assert %{told: %{schedulers: busy}} = Vitals.look(vitals, table, [])
    assert busy == nil or busy in 0..100
  end
end
