defmodule FlyDeploy.HookTimeTest do
  use ExUnit.Case, async: true

  alias FlyDeploy.{AppliedConfig, Reapply}

  # As a configuration that is evaluated in a second VM, on a slow machine.
  test "what takes longer by its nature gets time of its own, and what hangs is given up" do
    slow = fn tell ->
      tell.("downloading")
      tell.({"evaluating its configuration", 600_000})
      Process.send_after(self(), :done, 2_100)
      assert_receive :done, 60_000
      {:ok, :prepared}
    end

    assert Reapply.bounded(slow, 2_000) == {:ok, :prepared}
    test = self()

    hangs = fn tell ->
      send(test, {:worker, self()})
      tell.({"evaluating its configuration", 1})
      Process.sleep(:infinity)
    end

    assert {:error, text} = Reapply.bounded(hangs, 2_000)
    assert text == "it took longer than 2001 ms, and was given up while evaluating its configuration"
    assert_received {:worker, worker}
    refute Process.alive?(worker)
  end

  test "an upgrade that applies no configuration gets no more time" do
    assert AppliedConfig.takes_ms(%{apply_config: false}) == 0
    # What evaluates it gives up by itself, and says why, before it is given up.
    assert AppliedConfig.takes_ms(%{apply_config: true}) > FlyDeployAgent.ConfigEvaluation.most_ms()
  end
end
