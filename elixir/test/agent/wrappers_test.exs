defmodule FlyDeployAgent.WrappersTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Processes, Wrappers}

  defmodule Base do
    use GenServer
    @callback work(term) :: term
    @optional_callbacks work: 1
    defstruct [:mod, :inner]
    def init({mod, shape}), do: {:ok, shape.(mod)}
    def code_change(_, s, _), do: {:ok, s}
  end

  defmodule Worker do
    @behaviour Base
    def code_change(_, s, _), do: {:ok, s}
  end

  @changed %{Worker => %{code_change: [3], behaviours: [Base], vsn: 7}}

  defp scan(pid), do: Processes.scan([pid], @changed, [])

  test "the callback module is found in the state, however the wrapper keeps it" do
    for shape <- [&%Base{mod: &1}, &{&1, 1}, &%{a: {1, &1}}] do
      {:ok, pid} = GenServer.start_link(Base, {Worker, shape})
      state = :sys.get_state(pid)
      assert {[%{pid: ^pid, module: Worker, kind: :gen_server, units: [{Worker, 7}]}], []} = scan(pid)
      assert :sys.get_state(pid) == state
    end
  end

  test "another module's process of the same wrapper is left alone" do
    {:ok, pid} = GenServer.start_link(Base, {Other, &%Base{mod: &1, inner: [[Worker]]}})
    assert scan(pid) == {[], []}
  end

  test "the behaviours of OTP and Phoenix hide nothing" do
    behaviours = [GenServer, :gen_event, Phoenix.LiveView, Supervisor]
    assert Wrappers.of(%{Worker => %{behaviours: behaviours}}) == %{}
  end
end
