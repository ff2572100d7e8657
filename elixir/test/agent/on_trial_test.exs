defmodule FlyDeployAgent.OnTrialTest do
  # The trial is the VM's.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog

  alias FlyDeployAgent.{OnTrial, Order}

  @patience 60_000

  setup do
    on_exit(&OnTrial.forget/0)
  end

  defp order(form) do
    %{"id" => "01TEST-0123456789abcdef", "fence" => "01TEST", "url" => "", "sha256" => "", "size" => "1"}
    |> Map.merge(%{"otp_app" => "counter", "version" => "2.0.0"})
    |> Map.merge(form)
    |> URI.encode_query()
    |> :zlib.compress()
    |> Base.encode64()
    |> Order.decode()
  end

  # What the console's program prints, with `confirmed` bound.
  defp ask(confirmed) do
    code = [__DIR__, "..", "..", "trial.exs"] |> Path.join() |> File.read!()
    ExUnit.CaptureIO.capture_io(fn -> Code.eval_string(code, confirmed: confirmed) end)
  end

  defp stop, do: {Kernel, :send, [self(), :stopped]}

  @tag :capture_log
  test "the VM stops when the time is over" do
    OnTrial.committed(order(%{"trial_ms" => "20"}), stop())
    assert_receive :stopped, @patience
  end

  test "without a trial nothing stops, and nothing is told" do
    OnTrial.committed(order(%{}), stop())
    assert {OnTrial.current(), OnTrial.told()} == {nil, nil}
    assert ask("") == "FLYDEPLOY1 trial\nFLYDEPLOY1 end\n"
  end

  test "it is told whose it is, and how long it lasts" do
    OnTrial.committed(order(%{"trial_ms" => "3600000"}), stop())
    assert %{id: "01TEST", left_ms: left} = OnTrial.told()
    assert left in 3_000_000..3_600_000
    assert ask("") =~ ~r/\AFLYDEPLOY1 trial\ntrial=01TEST 3[0-9]{6}\nFLYDEPLOY1 end\n\z/
  end

  test "it is confirmed by its own deploy's id only, and ended by what is committed after it" do
    ended_in_time(fn ->
      OnTrial.committed(order(%{"trial_ms" => "1000"}), stop())
      assert ask("01OTHER") =~ "trial=01TEST"
      assert OnTrial.told()
      assert ask("01TEST") == "FLYDEPLOY1 trial\nFLYDEPLOY1 end\n"
    end)

    assert OnTrial.told() == nil

    ended_in_time(fn ->
      OnTrial.committed(order(%{"trial_ms" => "1000"}), stop())
      OnTrial.committed(order(%{"fence" => "01NEXT", "trial_ms" => "3600000"}), stop())
    end)

    assert %{id: "01NEXT"} = OnTrial.told()
    OnTrial.committed(order(%{}), stop())
    assert OnTrial.told() == nil
    refute_receive :stopped, 2_000
  end

  # Again where it took longer than the trial lasts.
  defp ended_in_time(fun) do
    {us, _} = :timer.tc(fun)

    if us > 900_000 do
      flush()
      ended_in_time(fun)
    end
  end

  defp flush do
    receive do
      :stopped -> flush()
    after
      1_000 -> :ok
    end
  end

  # The timers of a machine that sleeps stand still; its clock does not.
  test "a machine that wakes after the time is over stops at once, and once" do
    OnTrial.committed(order(%{"trial_ms" => "3600000"}), stop())
    OnTrial.look()
    refute_received :stopped
    trial = OnTrial.current()
    Application.put_env(:flydeploy, :trial, %{trial | until_ms: System.os_time(:millisecond) - 60_000})
    log = capture_log(fn -> for _ <- 1..3, do: OnTrial.look() end)
    assert log =~ "nobody has confirmed the upgrade"
    assert_received :stopped
    refute_received :stopped
    assert %{left_ms: 0} = OnTrial.told()
    for timer <- trial.timers, do: :timer.cancel(timer)
  end
end
