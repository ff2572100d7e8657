Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.SendersTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Senders, Versions}

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

    assert Senders.sent(pair, [{:put_it, 2}, {:put_it, 3}, :get_it, :nobody_makes_it]) == [
             {:put_it, 2},
             :get_it
           ]

    # What is gone from disk by now is known from before; who asks for the first time does not find it.
    File.rm!(file <> ".beam")
    assert Senders.sent(pair, [{:put_it, 2}]) == [{:put_it, 2}]
    assert Task.await(Task.async(fn -> Senders.sent(pair, [{:put_it, 2}]) end), :infinity) == []
  end
end
