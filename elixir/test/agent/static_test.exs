defmodule Phoenix.Endpoint do
  @moduledoc false
  @callback config_change(term, term) :: term
end

defmodule FlyDeployAgent.StaticTest do
  use ExUnit.Case

  alias FlyDeployAgent.Static

  defmodule Endpoint do
    @behaviour Phoenix.Endpoint
    def config_change([], []), do: send(__MODULE__, :warmed)
  end

  defmodule Broken do
    @behaviour Phoenix.Endpoint
    def config_change([], []), do: exit(:shutdown)
  end

  defmodule Stopped do
    @behaviour Phoenix.Endpoint
    def config_change([], []), do: raise("it does not run")
  end

  @static [{"new/app.js", "/app/lib/shop-1.0.0/priv/static/app.js"}]

  test "every running endpoint is told after a static file has changed, and the others are named" do
    Process.register(self(), Endpoint)
    Process.register(spawn_link(fn -> Process.sleep(:infinity) end), Broken)
    assert Static.warm(@static) == {[Endpoint], [Broken]}
    assert_received :warmed
    assert Static.warm([{"new/a.beam", "/app/lib/shop-1.0.0/ebin/a.beam"}]) == {[], []}
    refute_received :warmed
  end
end
