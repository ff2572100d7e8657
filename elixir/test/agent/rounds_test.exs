defmodule FlyDeployAgent.RoundsTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Rounds

  defp agents(n), do: for(n <- 1..n, do: start_supervised!({Agent, fn -> n end}, id: n))

  defp round(pids, request, round \\ make_ref()),
    do: Enum.each(pids, &Rounds.ask(&1, round, &1, request)) && round

  test "every process answers every round" do
    pids = agents(50)

    for request <- [:suspend, :resume] do
      assert pids |> round(request) |> Rounds.collect(pids, 1_000) ==
               %{ok: 50, others: [], dead: [], missing: []}
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

    round = round(pids, :suspend)
    assert Rounds.collect(round, pids, 30) == %{ok: 1, others: [], dead: [dead], missing: [busy]}

    # The late answer belongs to the round that was given up: the next round does not take it for its own.
    send(busy, :go)
    next = round([busy, idle], :resume)
    assert %{ok: 2, others: [], missing: []} = Rounds.collect(next, [busy, idle], 1_000)
    assert_received {{^round, ^busy}, :ok}
  end

  test "so many requests are under way at once, also where processes have died, until one fails" do
    pids = agents(20)
    [first | rest] = pids
    ref = Process.monitor(first)
    Process.exit(first, :kill)
    assert_receive {:DOWN, ^ref, _, _, _}

    requests = for pid <- pids, do: {{pid, :key}, :suspend}

    assert Rounds.pipeline(make_ref(), requests, 1, 1_000) ==
             %{ok: 19, others: [], dead: [{first, :key}], missing: []}

    # One that has been resumed does not know the request.
    :sys.resume(Enum.at(rest, 9))
    requests = for pid <- rest, do: {{pid, :key}, {:change_code, Agent.Server, 1, & &1}}
    assert %{ok: 9, others: [{_, {:error, _}}], missing: []} = Rounds.pipeline(make_ref(), requests, 1, 1_000)
  end

  test "answers that go to a dead process reach nobody" do
    [pid] = agents(1)
    dead = spawn(fn -> :ok end)
    Rounds.tell(pid, dead, :get_state)
    assert Agent.get(pid, & &1) == 1
    refute_received _
  end
end
