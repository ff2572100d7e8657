defmodule FlyDeployAgent.RoundsTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Rounds

  defp agents(n), do: for(n <- 1..n, do: start_supervised!({Agent, fn -> n end}, id: n))

  defp ask(pids, request), do: Rounds.ask(for pid <- pids, do: {pid, request})

  test "every process answers every round" do
    pids = agents(50)

    for request <- [:suspend, :resume] do
      assert pids |> ask(request) |> Rounds.collect(1_000) ==
               %{ok: 50, others: [], dead: [], missing: [], quiet: false}
    end
  end

  test "the dead are told apart from those that do not answer" do
    [dead, busy, idle] = pids = agents(3)
    test = self()

    spawn_link(fn ->
      Agent.update(busy, fn n ->
        send(test, :busy)
        receive(do: (:go -> n))
      end)
    end)

    assert_receive :busy
    ref = Process.monitor(dead)
    Process.exit(dead, :kill)
    assert_receive {:DOWN, ^ref, _, _, _}

    round = ask(pids, :suspend)

    assert Rounds.collect(round, 30) ==
             %{ok: 1, others: [], dead: [dead], missing: [busy], quiet: true}

    # The late answer belongs to the round that was given up: the next round does not take it for its own.
    send(busy, :go)
    next = ask([busy, idle], :resume)
    assert %{ok: 2, others: [], missing: []} = Rounds.collect(next, 1_000)
    late = round.first + 1
    assert {:messages, [{^late, :ok}]} = Process.info(self(), :messages)
    assert Rounds.drop_late() == :ok
    assert Process.info(self(), :messages) == {:messages, []}
  end

  # Many that hang make the look at who waits long enough for an answer to come in the middle of it.
  test "whoever answers while it is looked at who waits does not hang" do
    hang = for _ <- 1..5_000, do: spawn_link(fn -> Process.sleep(:infinity) end)

    for n <- 1..20 do
      computes = spawn_link(fn -> answer_after(n * 500) end)
      until = System.monotonic_time(:millisecond) + 60_000
      collected = [computes | hang] |> ask(:suspend) |> Rounds.collect_working(1, until)
      assert %{ok: 1, quiet: true, missing: missing} = collected
      assert length(missing) == 5_000 and computes not in missing
    end
  end

  defp answer_after(us) do
    receive do
      {:system, {from, tag}, :suspend} ->
        spin(System.monotonic_time(:microsecond) + us)
        send(from, {tag, :ok})
    end

    Process.sleep(:infinity)
  end

  defp spin(until), do: if(System.monotonic_time(:microsecond) < until, do: spin(until), else: :ok)

  test "each answer lets two requests out, also where processes have died, until one fails" do
    pids = agents(20)
    [first | rest] = pids
    ref = Process.monitor(first)
    Process.exit(first, :kill)
    assert_receive {:DOWN, ^ref, _, _, _}

    requests = for pid <- pids, do: {{pid, :key}, :suspend}

    assert requests |> Rounds.ask(1) |> Rounds.collect(1_000) ==
             %{ok: 19, others: [], dead: [{first, :key}], missing: [], quiet: false}

    # One that has been resumed does not know the request.
    :sys.resume(Enum.at(rest, 9))
    requests = for pid <- rest, do: {{pid, :key}, {:change_code, Agent.Server, 1, & &1}}
    failed = {Enum.at(rest, 9), :key}

    assert %{ok: ok, others: [{^failed, {:error, _}}], missing: []} =
             requests |> Rounds.ask(1) |> Rounds.collect(1_000)

    # Nine were asked before it; others were under way already.
    assert ok in 9..18
  end

  test "what goes right behind a request comes before everything that is sent later, and is not answered" do
    pids = agents(3)
    dead = spawn(fn -> :ok end)
    behind = Rounds.silent(dead, {:replace_state, &(&1 + 1)})
    requests = for pid <- pids, do: {pid, :suspend, behind}
    assert %{ok: 3, others: [], dead: [], missing: []} = requests |> Rounds.ask() |> Rounds.collect(1_000)
    assert Enum.map(pids, &:sys.get_state/1) == [2, 3, 4]
    refute_received _
  end

  test "answers that go to a dead process reach nobody" do
    [pid] = agents(1)
    dead = spawn(fn -> :ok end)
    Rounds.tell([pid], dead, :get_state)
    assert Agent.get(pid, & &1) == 1
    refute_received _
  end
end
