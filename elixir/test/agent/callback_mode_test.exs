defmodule FlyDeployAgent.CallbackModeTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Beam, CallbackMode}

  # The old version has no code_change/4, as a module that nobody thought of upgrading.
  @old """
  defmodule FlyDeployAgent.CallbackModeTest.Door do
    @behaviour :gen_statem
    def callback_mode, do: [:state_functions]
    def init(_), do: {:ok, :closed, 0}
    def closed({:call, from}, :ask, data), do: {:keep_state_and_data, {:reply, from, {:old, data}}}
    def ask(door), do: :gen_statem.call(door, :ask)
  end
  """

  @new """
  defmodule FlyDeployAgent.CallbackModeTest.Door do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(_), do: {:ok, :closed, 0}
    def handle_event({:call, from}, :ask, _, data), do: {:keep_state_and_data, {:reply, from, {:new, data}}}
    def code_change(_, state, data, _), do: {:ok, state, data + 1}
    def ask(door), do: :gen_statem.call(door, :ask)
  end
  """

  @door FlyDeployAgent.CallbackModeTest.Door

  setup do
    Code.put_compiler_option(:ignore_module_conflict, true)
    on_exit(fn -> Code.put_compiler_option(:ignore_module_conflict, false) end)
    [{@door, old}] = Code.compile_string(@old)
    {:ok, door} = :gen_statem.start_link(@door, nil, [])
    %{door: door, old: old}
  end

  test "a gen_statem answers in its old mode again, and callers wait meanwhile", %{door: door, old: old} do
    stand_ins = CallbackMode.prepare([%{change: :changed, module: @door}])
    old_md5 = Beam.loaded_md5(@door)
    Code.compile_string(@new)
    :ok = :sys.suspend(door)
    :ok = :sys.change_code(door, @door, :undefined, [])

    window = %{
      stand_ins: stand_ins,
      md5: %{@door => {old_md5, Beam.loaded_md5(@door)}},
      targets: [%{kind: :gen_statem, module: @door, pid: door}]
    }

    assert CallbackMode.restore(window, {100, fn _ -> false end}) == []
    caller = Task.async(fn -> apply(@door, :ask, [door]) end)
    # A second settling, after an agent that died here, must not load the stand-in again.
    assert CallbackMode.restore(window, {100, fn _ -> false end}) == []

    :code.soft_purge(@door)
    {:module, @door} = :code.load_binary(@door, ~c"door", old)
    :sys.replace_state(door, fn {state, _} -> {state, 0} end)
    :ok = :sys.resume(door)

    assert Task.await(caller) == {:old, 0}
    assert CallbackMode.restore(window, {100, fn _ -> false end}) == []
    assert Beam.loaded_md5(@door) == old_md5
  end

  test "modules whose mode does not change get no stand-in loaded", %{door: door} do
    stand_ins = CallbackMode.prepare([%{change: :changed, module: @door}])
    old_md5 = Beam.loaded_md5(@door)
    window = %{stand_ins: stand_ins, md5: %{@door => {old_md5, "other"}}, targets: []}

    assert CallbackMode.restore(window, {100, fn _ -> false end}) == []
    assert apply(@door, :ask, [door]) == {:old, 0}
    assert Beam.loaded_md5(@door) == old_md5
  end
end
