defmodule FlyDeployAgent.LoaderTest do
  use ExUnit.Case

  alias FlyDeployAgent.Loader

  test "what a purge costs is measured, and nothing is left of it" do
    # Of so many it takes long, and is measured thrice.
    for count <- [0, 1, 1_000_000], do: assert(Loader.purge_us(count) > 0)
    refute :erlang.module_loaded(Loader.Sample)
    refute :erlang.check_old_code(Loader.Sample)
  end

  # A process that runs the version before the one that is loaded.
  defp old_code(name) do
    version = fn n ->
      [{module, beam}] =
        Code.compile_string("""
        defmodule #{inspect(name)} do
          def version, do: #{n}
          def wait, do: receive(do: (:go -> version()))
        end
        """)

      :code.delete(module)
      :code.purge(module)
      beam
    end

    [one, two] = Enum.map(1..2, version)
    {:module, ^name} = :code.load_binary(name, ~c"one", one)
    pid = spawn(name, :wait, [])
    {:module, ^name} = :code.load_binary(name, ~c"two", two)
    on_exit(fn -> Loader.unload([name]) end)
    pid
  end

  test "a purge waits for who may leave old code, and ends who is still there" do
    waits = old_code(Loader.Waits)
    assert [{Loader.Waits, [^waits]}] = FlyDeployAgent.OldCode.lingering([Loader.Waits])
    spawn_link(fn -> Process.sleep(20) && send(waits, :go) end)
    assert Loader.purge([Loader.Waits], {60_000, fn _pid -> false end}) == []
    refute :erlang.check_old_code(Loader.Waits)

    stays = old_code(Loader.Stays)
    assert Loader.purge([Loader.Stays], {20, fn _pid -> false end}) == [stays]
    refute :erlang.check_old_code(Loader.Stays)
  end

  test "a purge waits for nobody for whom that is in vain" do
    stays = old_code(Loader.Hopeless)
    assert Loader.purge([Loader.Hopeless], {60_000, &(&1 == stays)}) == [stays]
  end
end
