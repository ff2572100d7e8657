defmodule FlyDeployAgent.FenceTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Fence

  setup do
    on_exit(fn -> Application.delete_env(:flydeploy, :fence) end)
  end

  test "older deploys are kept out from the newest on, which comes as often as it likes" do
    assert Fence.pass("01JB") == :ok
    assert Fence.pass("01JB") == :ok
    assert Fence.pass("01JA") == {:error, "01JB"}
    assert Fence.pass("01JC") == :ok
    assert Fence.pass("01JB") == {:error, "01JC"}
  end

  test "a machine that catches up keeps nobody out, and is not kept out" do
    assert Fence.pass("01JB") == :ok
    assert Fence.pass(nil) == :ok
    assert Fence.pass("01JB") == :ok
  end
end
