Code.require_file("windows.exs", __DIR__)

defmodule FlyDeployAgent.BackTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{
    Arming,
    Back,
    Beam,
    Cell,
    CodeFacts,
    Fresh,
    Order,
    Rehearsal,
    Staged,
    Staging,
    Windows
  }

  @moduletag :capture_log
  @moduletag :tmp_dir

  # An upgrade that is taken back: version 2 runs, version 1 comes.
  defp server(module, version, code_change) do
    compile("""
    defmodule #{inspect(module)} do
      @vsn "#{version}"
      use GenServer, restart: :permanent
      def start_link(s), do: GenServer.start_link(__MODULE__, s)
      def init(s), do: {:ok, {#{version}, s}}
      def handle_call(:get, _, s), do: {:reply, {#{version}, s}, s}
      #{code_change}
    end
    """)
  end

  defp compile(source) do
    [{module, beam}] = Code.compile_string(source)
    :code.delete(module)
    :code.purge(module)
    {module, beam}
  end

  defp staged(dir, modules) do
    changes =
      for {{module, running}, {module, older}} <- modules do
        [target, source] =
          for {name, beam} <- [running: running, older: older], do: put(dir, module, name, beam)

        {:module, _} = :code.load_binary(module, String.to_charlist(target), running)

        %{
          module: module,
          app: :back,
          change: :changed,
          old_md5: Beam.md5(running),
          md5: Beam.md5(older),
          file_md5: Beam.md5(running),
          source: source,
          target: target,
          old_file: target
        }
      end

    facts = for {_, {m, older}} <- modules, {:ok, facts} = Beam.facts(older), into: %{}, do: {m, facts}
    %Staged{diff: %{changes: changes, removed: [], files: []}, facts: facts}
  end

  defp put(dir, module, name, beam) do
    path = Path.join(dir, "#{module}.#{name}")
    File.write!(path, beam)
    path
  end

  defp order(more \\ []) do
    [
      id: "abcdef0123456789",
      url: "",
      sha256: "",
      size: 0,
      otp_app: "back",
      max_suspend_ms: 60_000,
      back: "true"
    ]
    |> Keyword.merge(more)
    |> URI.encode_query()
    |> :zlib.compress()
    |> Base.encode64()
    |> Order.decode()
  end

  # As staging does.
  defp plan(staged, order \\ order()) do
    look = &Staging.look(&1, order)
    staged |> look.() |> Back.decide(order.fresh) |> look.() |> Back.settle(look)
  end

  defp take_back(staged) do
    {:ok, armed} = Arming.run(staged, order())
    {:ok, :freed} = Arming.free_slots(staged.diff.changes, order())
    window = Arming.window(armed, order(), Cell.new(), Windows.guardian())
    result = Windows.run(window)
    Fresh.settle(window.restarting, window.dead)
    result
  end

  defp names(staged), do: for(f <- staged.findings, do: {f.name, f.severity, f[:processes]})

  test "the code that runs takes states back that has a clause for it", %{tmp_dir: dir} do
    module = __MODULE__.Down

    running =
      server(module, 2, """
      def code_change("1", {1, s}, _), do: {:ok, {2, s}}
      def code_change({:down, "1"}, {2, s}, []), do: {:ok, {1, [:down | s]}}
      """)

    staged = staged(dir, [{running, server(module, 1, "")}])
    {:ok, pid} = GenServer.start(module, [])
    assert %{fresh: fresh, ended: [], migrating: 1} = staged = plan(staged)
    assert fresh == %{}
    assert names(staged) == [{"goes_down", :info, 1}]
    assert %{outcome: :committed, migrated: 1, fresh: [], failures: []} = take_back(staged)
    assert GenServer.call(pid, :get) == {1, {1, [:down]}}
  end

  test "a state stays as it is where code_change gives it back, and where there is none", %{tmp_dir: dir} do
    module = __MODULE__.Kept
    staged = staged(dir, [{server(module, 2, ""), server(module, 1, "")}])
    {:ok, pid} = GenServer.start(module, :a)
    assert %{ended: [], findings: [], migrating: 0} = staged = plan(staged)
    assert %{outcome: :committed, fresh: []} = take_back(staged)
    assert GenServer.call(pid, :get) == {1, {2, :a}}
  end

  test "where nothing takes them back, processes start afresh, and no supervisor reaches its limit", %{
    tmp_dir: dir
  } do
    module = __MODULE__.Fresh
    running = server(module, 2, ~s|def code_change("1", {1, s}, _), do: {:ok, {2, s}}|)
    staged = staged(dir, [{running, server(module, 1, "")}])
    {:ok, dynamic} = DynamicSupervisor.start_link(strategy: :one_for_one, max_restarts: 1, max_seconds: 600)
    for n <- 1..50, do: {:ok, _} = DynamicSupervisor.start_child(dynamic, {module, n})

    {:ok, gone} =
      DynamicSupervisor.start_child(dynamic, Supervisor.child_spec({module, :gone}, restart: :temporary))

    children = for n <- 1..3, do: Supervisor.child_spec({module, n}, id: n)
    {:ok, one} = Supervisor.start_link(children, strategy: :one_for_one, max_restarts: 0)
    {:ok, rest} = Supervisor.start_link(children, strategy: :rest_for_one, max_restarts: 0)
    {:ok, alone} = GenServer.start(module, :alone)

    staged = plan(staged)
    assert [{"fresh_states", :warn, 58}] = names(staged)
    assert [%{subject: subject, detail: detail}] = staged.findings
    assert subject == inspect(module)

    assert detail =~
             ~r/^56 processes start again with fresh states, by #PID.*; 2 processes end, and no supervisor starts them again: /

    assert detail =~ ~s|: its code_change has no clause for {:down, "1"}|

    assert %{outcome: :committed, fresh: ended, migrated: 0, targets: []} = take_back(staged)
    assert length(ended) == 58
    assert gone in ended and alone in ended
    assert length(DynamicSupervisor.which_children(dynamic)) == 50
    assert [3, 3] = for(s <- [one, rest], do: length(Supervisor.which_children(s)))

    for s <- [dynamic, one, rest], {_, pid, _, _} <- Supervisor.which_children(s) do
      assert {1, {1, _}} = GenServer.call(pid, :get)
    end

    assert %{max_restarts: 1, restarts: []} = :sys.get_state(dynamic)
    for s <- [one, rest], do: assert({0, []} = {elem(:sys.get_state(s), 5), elem(:sys.get_state(s), 7)})
  end

  test "who ends along with a process that starts afresh is told beforehand, and not migrated", %{
    tmp_dir: dir
  } do
    [fresh, kept] = [__MODULE__.First, __MODULE__.Along]
    running = server(fresh, 2, ~s|def code_change("1", {1, s}, _), do: {:ok, {2, s}}|)
    staged = staged(dir, [{running, server(fresh, 1, "")}, {server(kept, 2, ""), server(kept, 1, "")}])

    below = %{
      id: :below,
      type: :supervisor,
      start: {Supervisor, :start_link, [[{kept, 2}], [strategy: :one_for_one]]}
    }

    agent = fn id -> Supervisor.child_spec({Agent, fn -> id end}, id: id) end
    children = [agent.(:before), {fresh, 1}, agent.(:after), {kept, 1}, below]
    start = fn strategy -> Supervisor.start_link(children, strategy: strategy, max_restarts: 0) |> elem(1) end
    [rest, all, _one] = for strategy <- [:rest_for_one, :one_for_all, :one_for_one], do: start.(strategy)

    child = fn supervisor, id ->
      for({^id, pid, _, _} <- Supervisor.which_children(supervisor), do: pid) |> hd()
    end

    [rest_before, all_before] = for s <- [rest, all], do: child.(s, :before)

    assert %{targets: [_, _], ended: ended} = staged = plan(staged)
    refute Enum.any?(ended, &(&1.pid == rest_before))
    assert Enum.any?(ended, &(&1.pid == all_before))

    told = for f <- staged.findings, do: {f.subject, f.processes}
    assert Enum.sort(told) == Enum.sort([{inspect(fresh), 3}, {inspect(kept), 4}, {inspect(__MODULE__), 3}])
    along = Enum.find(staged.findings, &(&1.subject == inspect(kept)))
    assert along.detail =~ "4 processes start again with fresh states, by #PID"
    assert along.detail =~ "its supervisor does not let it go on without #{inspect(fresh)}"

    assert %{outcome: :committed, targets: [_, _], fresh: fresh_pids} = take_back(staged)
    assert length(fresh_pids) == 10
    assert child.(rest, :before) == rest_before
    assert child.(all, :before) != all_before

    for s <- [rest, all],
        pid <- [child.(s, kept), child.(child.(s, :below), kept)],
        do: assert({1, {1, _}} = GenServer.call(pid, :get))
  end

  test "a process that lingers in older code ends, and starts again in the older one", %{tmp_dir: dir} do
    module = __MODULE__.Loop

    [first, running, older] =
      for n <- 0..2 do
        compile("""
        defmodule #{inspect(module)} do
          @vsn "#{n}"
          use Task, restart: :permanent
          def start_link(test), do: Task.start_link(__MODULE__, :run, [test])
          def run(test), do: loop(send(test, {:runs, #{n}, self()}))
          defp loop(started) do
            receive do
              :stop -> started
            end
          end
        end
        """)
      end

    {:module, _} = :code.load_binary(module, ~c"first", elem(first, 1))
    {:ok, supervisor} = Supervisor.start_link([{module, self()}], strategy: :one_for_one, max_restarts: 0)
    assert_receive {:runs, 0, pid}
    staged = dir |> staged([{running, older}]) |> plan()
    assert names(staged) == [{"fresh_states", :warn, 1}]
    assert hd(staged.findings).detail =~ "it still runs an older version of its code"
    assert %{outcome: :committed, fresh: [^pid]} = take_back(staged)
    assert_receive {:runs, 2, _}
    assert Process.alive?(supervisor)
    refute :erlang.check_process_code(pid, module) == true
  end

  test "a loop that a supervisor keeps alive does not go on in the code that is taken back", %{tmp_dir: dir} do
    module = __MODULE__.Turn

    [older, running] =
      for n <- 1..2 do
        compile("""
        defmodule #{inspect(module)} do
          @vsn "#{n}"
          use Task, restart: :permanent
          def start_link(test), do: Task.start_link(__MODULE__, :run, [test])
          def run(test), do: test |> send({:runs, #{n}, self()}) |> loop()
          defp loop(started), do: receive(do: (:stop -> started))
        end
        """)
      end

    staged = staged(dir, [{running, older}])
    {:ok, _} = Supervisor.start_link([{module, self()}], strategy: :one_for_one, max_restarts: 0)
    assert_receive {:runs, 2, pid}
    test = self()
    alone = spawn(module, :run, [test])
    assert_receive {:runs, 2, ^alone}
    staged = plan(staged)
    assert names(staged) == [{"fresh_states", :warn, 1}]
    assert %{outcome: :committed, fresh: [^pid]} = take_back(staged)
    assert_receive {:runs, 1, _}
    assert Process.alive?(alone)
  end

  test "nobody ends where a state cannot be taken back after all", %{tmp_dir: dir} do
    [fails, fresh] = [__MODULE__.Fails, __MODULE__.Spared]

    running =
      server(fails, 2, ~s|def code_change({:down, "1"}, {2, s}, _), do: {:ok, {1, Map.fetch!(s, :a)}}|)

    no_clause = server(fresh, 2, ~s|def code_change("1", s, _), do: {:ok, s}|)
    staged = staged(dir, [{running, server(fails, 1, "")}, {no_clause, server(fresh, 1, "")}])
    [one, other] = for m <- [fails, fresh], do: m |> GenServer.start(%{}) |> elem(1)
    assert [%{subject: subject}, %{name: "goes_down"}] = (planned = plan(staged)).findings
    assert subject == inspect(fresh)
    assert %{outcome: :rolled_back, fresh: [], killed: []} = take_back(planned)
    for pid <- [one, other], do: assert({2, {2, %{}}} = GenServer.call(pid, :get))

    staged = plan(staged, order(fresh: inspect(fails)))
    assert %{outcome: :committed, fresh: ended} = take_back(staged)
    assert Enum.sort(ended) == Enum.sort([one, other])
  end

  # What runs in the scratch VM, as the agent downloads it.
  defp code do
    {:ok, modules} = :application.get_key(:fly_deploy, :modules)
    {:ok, for(m <- modules, {^m, beam, _} <- [:code.get_object_code(m)], do: {m, beam})}
  end

  test "the way back is rehearsed, by the code that runs", %{tmp_dir: dir} do
    [fails, works] = [__MODULE__.RehearsedFails, __MODULE__.RehearsedWorks]

    staged =
      staged(
        dir,
        for m <- [fails, works] do
          down = ~s|def code_change({:down, "1"}, {2, s}, _), do: {:ok, {1, Map.fetch!(s, :a)}}|
          {server(m, 2, down), server(m, 1, ~s|def code_change(_, _, _), do: raise("is not asked")|)}
        end
      )

    for {m, state} <- [{fails, %{}}, {fails, %{a: 1}}, {works, %{a: 1}}],
        do: {:ok, _} = GenServer.start(m, state)

    look = &Staging.look(&1, order())
    staged = staged |> look.() |> Back.decide([]) |> look.()
    limits = %{total_ms: 600_000, all_ms: 300_000, answer_ms: 120_000, setup_ms: 120_000}
    found = Rehearsal.findings(staged, order(), dir, &code/0, limits)

    assert [{"migration_fails", :block, [fails]}] ==
             for(%{severity: :block} = f <- found, do: {f.name, f.severity, f.modules})

    assert Enum.any?(found, &(&1.name == "rehearsed" and &1.subject == inspect(works)))
    staged = Back.settle(%Staged{staged | findings: found}, look)
    assert Map.keys(staged.fresh) == [fails]
    assert [{"fresh_states", :warn, 2}, {"goes_down", :info, 1}] = staged |> names() |> Enum.take(2)
    assert hd(staged.findings).detail =~ "its code_change fails on 1 of 2 copies of states"
    refute Enum.any?(staged.findings, &(&1.severity == :block))
  end

  test "what blocks for the states of a module has its processes start afresh; what others hold still blocks",
       %{tmp_dir: dir} do
    module = __MODULE__.Blocked
    staged = staged(dir, [{server(module, 2, ""), server(module, 1, "")}])
    {:ok, pid} = GenServer.start(module, [])
    about = %{severity: :block, subject: "%Cart{} without :step", detail: "is held"}
    mine = Map.merge(about, %{name: "stale_struct", modules: [module]})
    table = Map.put(about, :name, "stale_struct")
    config = %{name: "config_changed", severity: :block, subject: "runtime.exs", detail: "differs"}
    staged = plan(%Staged{staged | findings: [mine, table, config]})
    assert [%{name: "fresh_states", detail: detail}, ^table, ^config] = staged.findings
    assert detail =~ "1 process ends, and no supervisor starts it again: %Cart{} without :step is held"
    assert [%{pid: ^pid}] = staged.ended
  end

  test "a gen_statem whose callback mode differs starts afresh", %{tmp_dir: dir} do
    module = __MODULE__.Mode

    [older, running] =
      for {n, mode} <- [{1, :state_functions}, {2, :handle_event_function}] do
        compile("""
        defmodule #{inspect(module)} do
          @vsn "#{n}"
          @behaviour :gen_statem
          def init(s), do: {:ok, :on, s}
          def callback_mode, do: #{inspect(mode)}
          def on({:call, from}, :get, s), do: {:keep_state, s, [{:reply, from, #{n}}]}
          def handle_event({:call, from}, :get, _, s), do: {:keep_state, s, [{:reply, from, #{n}}]}
          def code_change(_, state, s, _), do: {:ok, state, s}
        end
        """)
      end

    staged = staged(dir, [{running, older}])
    {:ok, pid} = :gen_statem.start(module, nil, [])
    assert %{ended: [%{pid: ^pid}]} = staged = plan(staged)
    assert hd(staged.findings).detail =~ "the older code has another callback mode"
  end

  test "a clause for {:down, vsn} is found in the code" do
    for {code_change, arity, takes} <- [
          {"def code_change(_, s, _), do: {:ok, s}", 3, true},
          {"def code_change({:down, _}, s, _), do: {:ok, Map.delete(s, :a)}", 3, true},
          {"def code_change({:down, 7}, s, _), do: {:ok, s}", 3, true},
          {"def code_change({:down, 6}, s, _), do: {:ok, s}", 3, false},
          {"def code_change(6, s, _), do: {:ok, s}", 3, false},
          {"def code_change(from, s, _) when is_integer(from), do: {:ok, s}", 3, false},
          {~s|def code_change({:down, _}, _, _), do: raise("forward only")|, 3, false},
          {"def code_change({:down, 7}, state, s, _), do: {:ok, state, s}", 4, true},
          {"def code_change(:undefined, state, s, _), do: {:ok, state, s}", 4, false}
        ] do
      {module, beam} = compile("defmodule #{inspect(__MODULE__)}.Clause do\n#{code_change}\nend")
      {:ok, code} = CodeFacts.functions(beam)
      assert {code_change, Back.takes_down?(module, code, arity, 7)} == {code_change, takes}
    end
  end
end
