Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.SendersTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Pair, Senders, Versions}

  @tag :tmp_dir
  test "messages that another module makes; the files of all are read once", %{tmp_dir: dir} do
    server =
      "defmodule T.Asked do\n  use GenServer\n  def init(x), do: {:ok, x}\n  def handle_call(_, _, s), do: {:reply, 1, s}\nend\n"

    [pair] = Versions.pairs(Versions.beams(server), Versions.beams(String.replace(server, "1, s", "2, s")))

    asker =
      "defmodule T.Asker do\n  def ask(p), do: {GenServer.call(p, {:put_it, 1}), GenServer.call(p, :get_it)}\nend\n"

    file = Path.join(dir, "Elixir.T.Asker")
    File.write!(file <> ".beam", Versions.beams(asker)[T.Asker])
    {:module, _} = :code.load_abs(String.to_charlist(file))
    on_exit(fn -> {:code.purge(T.Asker), :code.delete(T.Asker)} end)

    nobody = fn _version, _module -> nil end
    sent = &Senders.sent(pair, &1, nobody, false)
    assert sent.([{:put_it, 2}, {:put_it, 3}, :get_it, :nobody_makes_it]) == [{:put_it, 2}, :get_it]

    # What is gone from disk by now is known from before; who asks for the first time does not find it.
    File.rm!(file <> ".beam")
    assert sent.([{:put_it, 2}]) == [{:put_it, 2}]
    assert Task.await(Task.async(fn -> sent.([{:put_it, 2}]) end), :infinity) == []
  end

  test "a message that has another name, where the functions that send it change along" do
    source = """
    defmodule T.Tank do
      use GenServer
      def init(x), do: {:ok, x}
      def level(p), do: GenServer.call(p, :tank_fill)
      def handle_call(:tank_fill, _, s), do: {:reply, s, s}
    end
    defmodule T.Gauge do
      def read(p), do: {GenServer.call(p, :tank_fill), 1}
    end
    """

    new = String.replace(source, ":tank_fill", ":tank_height")
    pairs = Versions.pairs(Versions.beams(source), Versions.beams(new))
    tank = Enum.find(pairs, &(&1.module == T.Tank))

    codes = fn version, module ->
      pair = Enum.find(pairs, &(&1.module == module))
      pair && Pair.code(pair, version)
    end

    assert Senders.sent(tank, [:tank_fill], codes, false) == []
    # What waits for the process was sent by the running version.
    assert Senders.sent(tank, [:tank_fill], codes, true) == [:tank_fill]
    # It is still made.
    kept =
      String.replace(new, "def level(p)", "def old(p), do: GenServer.call(p, :tank_fill)\n  def level(p)")

    [tank | _] =
      Versions.pairs(Versions.beams(source), Versions.beams(kept)) |> Enum.filter(&(&1.module == T.Tank))

    assert Senders.sent(tank, [:tank_fill], codes, false) == [:tank_fill]
  end
end
