Code.require_file("windows.exs", __DIR__)

defmodule FlyDeployAgent.SwapTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Armed, Arming, Beam, CallbackMode, Cell, Findings, Loader, Order, Staged}
  alias FlyDeployAgent.{Window, Windows}

  setup_all do: Windows.load_all()

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

  defp armed(module, old, new), do: armed([{module, old, new}])

  defp armed(modules) do
    for {module, old, _new} <- modules, do: {:module, _} = :code.load_binary(module, ~c"old", old)
    {:ok, forward} = Loader.prepare(for {module, _old, new} <- modules, do: {module, "new", new})
    {:ok, back} = Loader.prepare(for {module, old, _new} <- modules, do: {module, "old", old})

    changes =
      for {module, old, new} <- modules,
          do: %{module: module, change: :changed, old_md5: Beam.md5(old), md5: Beam.md5(new)}

    facts = for {module, _old, new} <- modules, {:ok, facts} = Beam.facts(new), into: %{}, do: {module, facts}

    %Armed{
      staged: %Staged{diff: %{changes: changes, files: []}, facts: facts},
      forward: forward,
      back: back,
      stand_ins: CallbackMode.prepare(changes),
      absent: []
    }
  end

  defp window(armed, order \\ []),
    do: %{Arming.window(armed, order(order), Cell.new(), Windows.guardian()) | loader_ms: 60_000}

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
      if(s == :hangs, do: {Process.sleep(:infinity)}, else: {:ok, state, s})
      """)

    armed = armed(module, old, new)
    [hangs, other] = for s <- [:hangs, :ok], do: module |> :gen_statem.start(s, []) |> elem(1)
    window = window(armed, migration_ms: 100)
    assert %{outcome: :rolled_back_with_losses, killed: [^hangs]} = Windows.run(window)
    assert :gen_statem.call(other, :get) == {1, :ok}
    {_ms, hopeless?} = Window.patience(window, [hangs])
    assert hopeless?.(hangs)
  end

  # It postpones what comes before it is ready, and logs what it handles with the version of the code that does.
  defp patient(module, version, mode) do
    compile(module, version, """
    @behaviour :gen_statem
    def init(_), do: {:ok, :waiting, []}
    def callback_mode, do: #{inspect(mode)}
    def waiting(type, event, log), do: on(type, event, :waiting, log)
    def ready(type, event, log), do: on(type, event, :ready, log)
    def handle_event(type, event, state, log), do: on(type, event, state, log)
    def code_change(_, state, log, _), do: {:ok, state, [:migrated | log]}

    defp on(:cast, {:later, _}, :waiting, _log), do: {:keep_state_and_data, :postpone}
    defp on(:cast, {:later, n}, :ready, log), do: {:keep_state, [{#{version}, n} | log]}
    defp on(:cast, :ready, :waiting, log), do: {:next_state, :ready, [{#{version}, :ready} | log]}
    defp on({:call, from}, :log, _, log), do: {:keep_state_and_data, {:reply, from, Enum.reverse(log)}}
    defp on(:state_timeout, _, :waiting, log), do: {:keep_state, [{#{version}, :state} | log]}
    defp on({:timeout, :own}, _, _, log), do: {:keep_state, [{#{version}, :own} | log]}

    defp on(:cast, {:until, test}, :waiting, _log) do
      send(test, {:blocked, self()})
      receive do: (:go -> {:keep_state_and_data, [{:state_timeout, 1, nil}, {{:timeout, :own}, 1, nil}]})
    end
    """)
  end

  # Its timers run out, and events come, while it is suspended, beside many others that migrate.
  defp upgrade_patient(name, {from, to}, others) do
    module = Module.concat([__MODULE__, Patient, name])
    server = Module.concat(module, Server)

    migrate = """
    (fn
       _, {:wait, test} ->
         send(test, {:migrating, self()})
         receive do: (:go -> {:ok, s})
       _, :fails -> raise("no")
       _, n -> {:ok, n + 1}
     end).(from, s)
    """

    [old, new] = for n <- 1..2, do: server(server, n, migrate)
    armed = armed([{module, patient(module, 1, from), patient(module, 2, to)}, {server, old, new}])
    {:ok, pid} = :gen_statem.start(module, nil, [])
    {:ok, last} = GenServer.start(server, {:wait, self()})
    others = for state <- Enum.concat(1..500, others), do: server |> GenServer.start(state) |> elem(1)

    for event <- [{:later, 1}, {:until, self()}, {:later, 2}], do: :gen_statem.cast(pid, event)
    assert_receive {:blocked, ^pid}, 60_000
    run = Task.async(fn -> armed |> window(suspend_ms: 60_000, migration_ms: 60_000) |> Windows.run() end)
    # Its suspend, and what it does with its state then.
    wait_until(fn -> queued(pid) == 3 end)
    send(pid, :go)
    assert_receive {:migrating, ^last}, 60_000
    :gen_statem.cast(pid, {:later, 3})
    # Both timers, and the event.
    wait_until(fn -> queued(pid) == 3 end)
    send(last, :go)
    result = Task.await(run, :infinity)
    :gen_statem.cast(pid, :ready)
    :gen_statem.cast(pid, {:later, 4})
    log = :gen_statem.call(pid, :log)
    # Every purge of a module, in whichever test, would ask them.
    for pid <- [pid, last | others], do: Process.exit(pid, :kill)
    {result, log}
  end

  defp queued(pid), do: pid |> Process.info(:message_queue_len) |> elem(1)
  defp wait_until(fun), do: unless(fun.(), do: Process.sleep(1) && wait_until(fun))

  for {name, modes} <- [
        StateFunctions: {:state_functions, :state_functions},
        OneFunction: {:handle_event_function, :handle_event_function},
        ToOneFunction: {:state_functions, [:handle_event_function]},
        ToStateFunctions: {:handle_event_function, :state_functions}
      ] do
    @modes modes
    test "a gen_statem, #{inspect(modes)}, has its events and timeouts after a commit, and after a rollback" do
      {result, log} = upgrade_patient(unquote(name), @modes, [])
      assert %{outcome: :committed, migrated: 502, failures: []} = result
      assert [:migrated, {2, one}, {2, other}, {2, :ready}, {2, 1}, {2, 2}, {2, 3}, {2, 4}] = log
      assert Enum.sort([one, other]) == [:own, :state]

      {result, log} = upgrade_patient(:"Fails#{unquote(name)}", @modes, [:fails])
      assert %{outcome: :rolled_back, failures: [_], killed: []} = result
      assert [{1, one}, {1, other}, {1, :ready}, {1, 1}, {1, 2}, {1, 3}, {1, 4}] = log
      assert Enum.sort([one, other]) == [:own, :state]
    end
  end

  test "a gen_statem that is late is ended where others of its module must have the old callback mode back" do
    module = __MODULE__.LateBeside
    old = statem(module, 1, :state_functions, "{:ok, state, s}")

    new =
      statem(module, 2, :handle_event_function, """
      (fn ->
        if is_reference(s), do: Enum.find(Stream.cycle([1]), fn _ -> :atomics.get(s, 1) == 1 end)
        {:ok, state, s}
      end).()
      """)

    armed = armed(module, old, new)
    [late, other] = for s <- [:atomics.new(1, []), :ok], do: module |> :gen_statem.start(s, []) |> elem(1)
    window = window(armed, migration_ms: 100, max_suspend_ms: 1_000)
    assert %{outcome: :rolled_back_with_losses, killed: [^late]} = Windows.run(window)
    assert :gen_statem.call(other, :get) == {1, :ok}
  end

  defp done_after(cell, done) do
    Process.sleep(5)
    if Cell.step(cell) == :done, do: :atomics.put(done, 1, 1), else: done_after(cell, done)
  end
end
