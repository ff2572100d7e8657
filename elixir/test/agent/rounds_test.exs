defmodule FlyDeployAgent.RoundsTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Rounds

  defp agents(n), do: for(n <- 1..n, do: start_supervised!({Agent, fn -> n end}, id: n))

  defp round(pids, request, round \\ make_ref()),
    do: Enum.each(pids, &Rounds.ask(&1, round, &1, request)) && round

  test "every process answers every round" do
    pids = agents(50)

    for request <- [:suspend, :resume] do
      assert {answers, [], []} = pids |> round(request) |> Rounds.collect(pids, 1_000)
      assert Enum.sort(answers) == Enum.sort(for pid <- pids, do: {pid, :ok})
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
    assert {[{^idle, :ok}], [^dead], [^busy]} = Rounds.collect(round, pids, 30)

    # The late answer belongs to the round that was given up: the next round does not take it for its own.
    send(busy, :go)
    next = round([busy, idle], :resume)
    assert {answers, [], []} = Rounds.collect(next, [busy, idle], 1_000)
    assert Enum.sort(answers) == Enum.sort([{busy, :ok}, {idle, :ok}])
    assert_received {{^round, ^busy}, :ok}
  end

  test "answers that go to a dead process reach nobody" do
    [pid] = agents(1)
    dead = spawn(fn -> :ok end)
    Rounds.tell(pid, dead, :get_state)
    assert Agent.get(pid, & &1) == 1
    refute_received _
  end
end
