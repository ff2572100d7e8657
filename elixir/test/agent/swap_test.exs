defmodule FlyDeployAgent.SwapTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{
    Armed,
    Arming,
    Beam,
    CallbackMode,
    Cell,
    Commit,
    Guardian,
    Loader,
    Order,
    Staged,
    Window
  }

  # Windows that swap code: the module's name, and what its two versions do.
  defp compile(module, version, body) do
    code = """
    defmodule #{inspect(module)} do
      @vsn "#{version}"
      #{body}
    end
    """

    [{^module, beam}] = Code.compile_string(code)
    :code.delete(module)
    :code.purge(module)
    beam
  end

  defp server(module, version, code_change) do
    compile(module, version, """
    use GenServer
    def init(s), do: {:ok, s}
    def handle_call(:get, _, s), do: {:reply, {#{version}, s}, s}
    def handle_cast(fun, s), do: {:noreply, fun.(s)}
    def code_change(from, s, _), do: #{code_change}
    """)
  end

  defp armed(module, old, new) do
    {:module, _} = :code.load_binary(module, ~c"old", old)
    {:ok, facts} = Beam.facts(new)
    {:ok, forward} = Loader.prepare([{module, "new", new}])
    {:ok, back} = Loader.prepare([{module, "old", old}])
    change = %{module: module, change: :changed, old_md5: Beam.md5(old), md5: Beam.md5(new)}
    staged = %Staged{diff: %{changes: [change]}, facts: %{module => facts}}
    %Armed{staged: staged, forward: forward, back: back, stand_ins: CallbackMode.prepare([change])}
  end

  defp window(armed, order \\ []),
    do: Arming.window(armed, order(order), Cell.new(), Guardian.start(self(), fn _carry, _settle -> :ok end))

  defp run(%{guardian: guardian} = window) do
    :ok = Guardian.hold(window, nil, 60_000)
    result = Commit.run(window)
    Guardian.let_go(guardian)
    Guardian.stop(guardian)
    result
  end

  defp order(options) do
    form = [id: "abcdef0123456789", url: "", sha256: "", size: 0, otp_app: "swap", max_suspend_ms: 60_000]

    form
    |> Keyword.merge(options)
    |> URI.encode_query()
    |> :zlib.compress()
    |> Base.encode64()
    |> Order.decode()
  end

  test "the first process of a module is migrated that is born after all were looked at" do
    module = __MODULE__.Born
    [old, new] = for n <- 1..2, do: server(module, n, "{:ok, [{from, #{n}} | s]}")
    window = module |> armed(old, new) |> window()
    assert window.targets == []
    {:ok, pid} = GenServer.start(module, [])
    assert %{outcome: :committed, migrated: 1, failures: []} = run(window)
    assert GenServer.call(pid, :get) == {2, [{"1", 2}]}
  end

  test "a rollback does not wait for those that were too busy to suspend" do
    module = __MODULE__.Busy
    old = server(module, 1, "{from, s}")
    new = server(module, 2, ~s|if s == :fails, do: raise("no"), else: {from, s}|)
    armed = armed(module, old, new)
    [busy, fails] = for state <- [:busy, :fails], do: module |> GenServer.start(state) |> elem(1)
    test = self()
    GenServer.cast(busy, fn _ -> send(test, :busy) && Process.sleep(:infinity) end)
    assert_receive :busy
    window = window(armed, suspend_ms: 20, skip_busy: true)
    assert %{outcome: :rolled_back_with_losses, killed: [^busy]} = run(%{window | patient_ms: 50})
    assert GenServer.call(fails, :get) == {1, :fails}
    assert Cell.longest_us(window.cell) < 450_000
  end
end
