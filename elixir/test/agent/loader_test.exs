defmodule FlyDeployAgent.LoaderTest do
  use ExUnit.Case

  alias FlyDeployAgent.Loader

  test "what a purge costs is measured, and nothing is left of it" do
    assert Loader.purge_us() > 0
    refute :erlang.module_loaded(Loader.Sample)
    refute :erlang.check_old_code(Loader.Sample)
  end
end
