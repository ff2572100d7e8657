defmodule FlyDeployAgent.LateBirthTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Armed, Arming, Beam, Cell, Commit, Guardian, Loader, Order, Staged}

  defp compile(version) do
    [{Late.Born, beam}] =
      Code.compile_string("""
      defmodule Late.Born do
        use GenServer
        @vsn "#{version}"
        def init(_), do: {:ok, [#{version}]}
        def handle_call(:get, _, s), do: {:reply, {#{version}, s}, s}
        def code_change(_, s, _), do: {:ok, [{:by, #{version}} | s]}
      end
      """)

    :code.delete(Late.Born)
    :code.purge(Late.Born)
    beam
  end

  test "the first process of a module is migrated that is born after all were looked at" do
    [old, new] = Enum.map(1..2, &compile/1)
    {:module, _} = :code.load_binary(Late.Born, ~c"old", old)
    {:ok, facts} = Beam.facts(new)
    {:ok, forward} = Loader.prepare([{Late.Born, "new", new}])
    {:ok, back} = Loader.prepare([{Late.Born, "old", old}])
    change = %{module: Late.Born, change: :changed, old_md5: Beam.md5(old), md5: Beam.md5(new)}
    staged = %Staged{diff: %{changes: [change]}, facts: %{Late.Born => facts}}
    armed = %Armed{staged: staged, forward: forward, back: back, stand_ins: %{}}
    guardian = Guardian.start(self(), fn _carry, _settle -> :ok end)

    window = Arming.window(armed, order(), Cell.new(), guardian)
    assert window.targets == []
    {:ok, pid} = GenServer.start(Late.Born, nil)
    :ok = Guardian.hold(window, nil, 60_000)
    assert %{outcome: :committed, migrated: 1, failures: []} = Commit.run(window)
    assert GenServer.call(pid, :get) == {2, [{:by, 2}, 1]}
    Guardian.let_go(guardian)
    Guardian.stop(guardian)
  end

  defp order do
    form =
      URI.encode_query(
        id: "abcdef0123456789",
        url: "",
        sha256: "",
        size: 0,
        otp_app: "late",
        suspend_ms: 5_000,
        max_suspend_ms: 60_000
      )

    form |> :zlib.compress() |> Base.encode64() |> Order.decode()
  end
end
