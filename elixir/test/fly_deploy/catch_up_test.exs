defmodule FlyDeploy.CatchUpTest do
  use ExUnit.Case

  import ExUnit.CaptureLog

  alias FlyDeploy.{CatchUp, Hook}

  doctest CatchUp

  @variables %{"RELEASE_ROOT" => "/nowhere", "FLY_IMAGE_REF" => "registry.fly.io/a:1"}
  @hour_ms 3_600_000

  setup do
    System.put_env(@variables)

    on_exit(fn ->
      for {name, _} <- @variables, do: System.delete_env(name)
      for key <- [:caught_up, :hook], do: Application.delete_env(:fly_deploy, key)
    end)
  end

  # The server's state, in a test that is the server. A look asks the test what it finds.
  defp watch(mode \\ :after_suspension) do
    test = self()

    look = fn known ->
      send(test, {:looks, self(), known})

      receive do
        {:found, result} -> if is_function(result), do: result.(), else: result
      end
    end

    {:ok, s} = CatchUp.init(catch_up: mode, look: look)
    s
  end

  defp tick(s) do
    {:noreply, s} = CatchUp.handle_info(:tick, s)
    s
  end

  # As if the last tick had been an hour ago: the machine slept. What it does next is due at once.
  defp wake(s), do: %{s | at: s.at - @hour_ms} |> tick() |> now()
  defp now(s), do: if(s.due, do: %{s | due: s.due - @hour_ms}, else: s)

  # A look that finds `result`.
  defp look(s, result) do
    %{worker: {pid, monitor}} = s = tick(s)
    assert_receive {:looks, ^pid, known}
    assert known == s.known
    send(pid, {:found, result})

    receive do
      {^pid, _} = message -> answered(s, message)
      {:DOWN, ^monitor, _, _, _} = message -> answered(s, message)
    end
  end

  defp answered(s, message) do
    {:noreply, s} = CatchUp.handle_info(message, s)
    assert s.worker == nil
    s
  end

  defp noted, do: CatchUp.about().outcome

  test "looks at nothing as long as the machine is awake" do
    s = watch()
    assert %{due: nil, worker: nil} = s |> tick() |> tick()
    assert CatchUp.about() == %{mode: :after_suspension, outcome: :watching, text: ""}
  end

  test "a VM that was only busy for some seconds was not asleep" do
    s = watch()
    assert %{due: nil} = tick(%{s | at: s.at - 6_000})
    assert %{due: due} = tick(%{s | at: s.at - 9_000})
    assert due != nil
  end

  test "looks once after the machine has woken" do
    s = watch() |> wake() |> look({:settled, "this machine runs what is recorded for it", "v1"})
    assert %{due: nil, known: %{etag: "v1"}} = tick(s)
    assert noted() == :settled

    # What it knew is told to the next look.
    s = s |> wake() |> look(:unchanged)
    assert %{due: nil, known: %{etag: "v1"}} = s
    assert noted() == :settled
  end

  test "tells in one line that it has caught up" do
    log = capture_log(fn -> watch() |> wake() |> look({:caught_up, "hot upgrade 1.2.4", "v2"}) end)
    assert log =~ "this machine had missed an upgrade, and has caught up: hot upgrade 1.2.4"
    assert CatchUp.about() == %{mode: :after_suspension, outcome: :caught_up, text: "hot upgrade 1.2.4"}
  end

  test "what has failed is told once, and stays known" do
    log =
      capture_log(fn ->
        s = watch() |> wake() |> look({:failed, "it was rolled back", "v2", "ab12"})
        assert %{due: nil, known: %{etag: "v2", tries: %{"ab12" => "it was rolled back"}}} = s
        s = s |> wake() |> look(:unchanged)
        assert noted() == :failed
        # Something else of the record has changed.
        s |> wake() |> look({:failed, s.known.tries["ab12"], "v3", "ab12"})
      end)

    assert [_, _] = String.split(log, "cannot catch up: it was rolled back")
    assert CatchUp.about().text == "it was rolled back"
  end

  test "looks again while a deploy is under way, less and less often, and not for ever" do
    s = Enum.reduce(1..39, wake(watch()), fn _, s -> s |> look({:wait, "a deploy is under way"}) |> now() end)
    assert %{due: due, known: %{tries: tries}} = s
    assert due != nil and tries == %{}
    assert noted() == :waiting
    assert %{due: nil} = look(s, {:wait, "a deploy is under way"})
    assert noted() == :gave_up
  end

  test "pauses at least half a minute, and at most ten" do
    s = watch() |> wake() |> look({:wait, "a deploy is under way"})
    assert (s.due - System.monotonic_time(:millisecond)) in 29_000..60_000
    s = look(%{now(s) | looks: 2}, {:wait, "a deploy is under way"})
    assert (s.due - System.monotonic_time(:millisecond)) in 299_000..600_000
  end

  test "counts the attempts at an upgrade, and warns once" do
    log =
      capture_log(fn ->
        s = watch() |> wake() |> look({:retry, "the bucket answered 503", nil}) |> now()
        assert s.known.tries == %{}
        s = s |> look({:retry, "the agent is not in the bucket", "ab12"}) |> now()
        s = look(s, {:retry, "the agent is not in the bucket", "ab12"})
        assert s.known.tries == %{"ab12" => 2}
      end)

    assert [_, _] = String.split(log, "cannot catch up now")
  end

  test "a look that raises, exits or is killed says nothing of what it knew" do
    for result <- [
          fn -> raise "AKIA-secret" end,
          fn -> exit("AKIA-secret") end,
          fn -> Process.exit(self(), :kill) end
        ] do
      log = capture_log(fn -> assert %{due: _} = watch() |> wake() |> look(result) end)
      assert log =~ "cannot catch up now"
      refute log =~ "AKIA" or CatchUp.about().text =~ "AKIA"
    end
  end

  test "a look that hangs is ended" do
    s = tick(wake(watch()))
    {pid, monitor} = s.worker
    {:noreply, s} = CatchUp.handle_info({:late, pid}, s)
    assert_receive {:DOWN, ^monitor, _, _, :killed} = down
    assert capture_log(fn -> answered(s, down) end) =~ "took too long"
  end

  test "a suspension during a look gets a look of its own" do
    s = tick(wake(watch()))
    {pid, _} = s.worker
    s = %{s | at: s.at - @hour_ms} |> tick()
    assert_receive {:looks, ^pid, _}
    send(pid, {:found, {:settled, "", "v1"}})
    assert_receive {^pid, _} = message
    assert %{worker: {_, _}} = s |> answered(message) |> now() |> tick()
  end

  test "does not look while the startup hook is at work" do
    Hook.note(:my_app, :running)
    s = wake(watch())
    assert %{worker: nil, due: due} = tick(s)
    assert due != nil
    Hook.note(:my_app, :reapplied, "")
    assert %{worker: {_, _}} = tick(s)
  end

  test "looks now and then where the application wants that, not all machines at once" do
    dues = for _ <- 1..50, do: watch(:always).due - System.monotonic_time(:millisecond)
    assert Enum.all?(dues, &(&1 in 479_000..720_000))
    assert Enum.max(dues) - Enum.min(dues) > 60_000
    s = watch(:always) |> now() |> look({:settled, "", "v1"})
    assert (s.due - System.monotonic_time(:millisecond)) in 479_000..720_000
  end

  test "is not there outside of Fly, nor where the application does not want it, nor for a setting that is none" do
    assert CatchUp.init(catch_up: :never) == :ignore
    log = capture_log(fn -> assert CatchUp.init(catch_up: true) == :ignore end)
    assert log =~ "catch_up must be"
    System.delete_env("FLY_IMAGE_REF")
    assert CatchUp.init([]) == :ignore
    assert CatchUp.about() == nil
  end
end
