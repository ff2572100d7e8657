Code.require_file("windows.exs", __DIR__)

defmodule FlyDeployAgent.SwapTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Armed, Arming, Beam, CallbackMode, Cell, Findings, Loader, Order, Staged}
  alias FlyDeployAgent.{Window, Windows}

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

    %Armed{
      staged: staged,
      forward: forward,
      back: back,
      stand_ins: CallbackMode.prepare([change]),
      absent: []
    }
  end

  defp window(armed, order \\ []),
    do: Arming.window(armed, order(order), Cell.new(), Windows.guardian())

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
    assert %{outcome: :committed, migrated: 1, failures: []} = Windows.run(window)
    assert GenServer.call(pid, :get) == {2, [{"1", 2}]}
  end

  @tag :tmp_dir
  test "code that was loaded by hand is replaced, and a rollback leads to the file's", %{tmp_dir: dir} do
    module = __MODULE__.Drift
    of_file = server(module, 1, "{from, s}")
    by_hand = server(module, 2, "{from, s}")
    new = server(module, 3, ~s|if(s == :fails, do: raise("no"), else: {:ok, {from, s}})|)
    [target, source] = for {name, beam} <- [old: of_file, new: new], do: put(dir, name, beam)
    {:module, _} = :code.load_binary(module, ~c"by hand", by_hand)
    {:ok, facts} = Beam.facts(new)

    change = %{
      module: module,
      change: :changed,
      old_md5: Beam.md5(by_hand),
      md5: Beam.md5(new),
      source: source,
      target: target,
      old_file: target,
      file_md5: Beam.md5(of_file)
    }

    staged = %Staged{diff: %{changes: [change], removed: [], files: []}, facts: %{module => facts}}

    assert [%{name: "drift", severity: :block, subject: "FlyDeployAgent.SwapTest.Drift"}] =
             Findings.modules(staged.diff, %{module => Map.put(facts, :nif, false)}, [])

    gone = %{change | file_md5: nil}

    assert [%{name: "no_file", severity: :refuse}] =
             Findings.modules(%{staged.diff | changes: [gone]}, %{module => Map.put(facts, :nif, false)}, [])

    {:ok, pid} = GenServer.start(module, :fails)
    {:ok, armed} = Arming.run(staged, order([]))
    assert %{outcome: :rolled_back, killed: []} = armed |> window() |> Windows.run()
    assert GenServer.call(pid, :get) == {1, :fails}

    :ok = GenServer.stop(pid)
    :code.purge(module)
    {:module, _} = :code.load_binary(module, ~c"by hand", by_hand)
    :code.purge(module)
    {:ok, pid} = GenServer.start(module, :works)
    {:ok, armed} = Arming.run(staged, order([]))
    assert %{outcome: :committed, migrated: 1} = armed |> window() |> Windows.run()
    assert GenServer.call(pid, :get) == {3, {"2", :works}}
  end

  defp put(dir, name, beam) do
    path = Path.join(dir, "#{name}.beam")
    File.write!(path, beam)
    path
  end

  test "a rollback does not wait for those that were too busy to suspend" do
    module = __MODULE__.Busy
    old = server(module, 1, "{from, s}")
    new = server(module, 2, ~s|if(s == :fails, do: raise("no"), else: {from, s})|)
    armed = armed(module, old, new)
    [busy, fails] = for state <- [:busy, :fails], do: module |> GenServer.start(state) |> elem(1)
    test = self()

    GenServer.cast(busy, fn _ ->
      send(test, :busy)
      Process.sleep(:infinity)
    end)

    assert_receive :busy
    window = %{window(armed, suspend_ms: 20, skip_busy: true) | patient_ms: 50}
    assert %{outcome: :rolled_back_with_losses, killed: [^busy]} = result = Windows.run(window)
    {_ms, hopeless?} = Window.patience(%{window | skipped: result.skipped}, [])
    assert hopeless?.(busy)
    refute hopeless?.(fails)
    assert GenServer.call(fails, :get) == {1, :fails}
  end

  defp statem(module, version, mode, code_change) do
    compile(module, version, """
    @behaviour :gen_statem
    def init(s), do: {:ok, :on, s}
    def callback_mode, do: #{inspect(mode)}
    def handle_event({:call, from}, :get, _, s), do: {:keep_state, s, [{:reply, from, {#{version}, s}}]}
    def on({:call, from}, :get, s), do: {:keep_state, s, [{:reply, from, {#{version}, s}}]}
    def code_change(_, state, s, _), do: #{code_change}
    """)
  end

  test "a gen_statem that is late is not ended for its callback mode where it is the only one" do
    module = __MODULE__.Late
    old = statem(module, 1, :state_functions, "{:ok, state, s}")

    new =
      statem(module, 2, :handle_event_function, """
      (fn ->
        Enum.find(Stream.cycle([1]), fn _ -> :atomics.get(s, 1) == 1 end)
        {:ok, state, s}
      end).()
      """)

    armed = armed(module, old, new)
    done = :atomics.new(1, [])
    {:ok, late} = :gen_statem.start(module, done, [])
    window = window(armed, migration_ms: 100, max_suspend_ms: 1_000)
    spawn_link(fn -> done_after(window.cell, done) end)
    assert %{outcome: :rolled_back, killed: []} = Windows.run(window)
    assert :gen_statem.call(late, :get) == {1, done}
  end

  test "a gen_statem that hangs keeps nobody from the old callback mode" do
    module = __MODULE__.Hung
    old = statem(module, 1, :state_functions, "{:ok, state, s}")

    new =
      statem(module, 2, :handle_event_function, """
      if s == :hangs, do: {Process.sleep(:infinity)}, else: {:ok, state, s}
      """)

    armed = armed(module, old, new)
    [hangs, other] = for s <- [:hangs, :ok], do: module |> :gen_statem.start(s, []) |> elem(1)
    window = window(armed, migration_ms: 100)
    assert %{outcome: :rolled_back_with_losses, killed: [^hangs]} = Windows.run(window)
    assert :gen_statem.call(other, :get) == {1, :ok}
    {_ms, hopeless?} = Window.patience(window, [hangs])
    assert hopeless?.(hangs)
  end

  defp done_after(cell, done) do
    Process.sleep(5)
    if Cell.step(cell) == :done, do: :atomics.put(done, 1, 1), else: done_after(cell, done)
  end
end
