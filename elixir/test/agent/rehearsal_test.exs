Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.RehearsalTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Beam, Processes, Rehearsal, Staged, Versions}

  @live_view "../../../engine/agent/testdata/zoo/lib/live_view.ex"
  # What LiveView has besides, which the stand-ins lack.
  @channel """
  defmodule Phoenix.LiveView.Channel do
    use GenServer
    def init(state), do: {:ok, state}

    def code_change(vsn, %{socket: socket} = state, extra) do
      {:ok, socket} = socket.view.code_change(vsn, socket, extra)
      {:ok, %{state | socket: socket}}
    end
  end
  """

  setup_all do
    dir = Path.join(System.tmp_dir!(), "flydeploy-rehearsal-#{System.pid()}")
    ebin = Path.join(dir, "ebin")
    File.mkdir_p!(ebin)

    {:ok, _, _} =
      quietly(fn ->
        Kernel.ParallelCompiler.compile_to_path(
          [Path.expand(@live_view, __DIR__), write(dir, "channel.ex", @channel)],
          ebin,
          return_diagnostics: true
        )
      end)

    Code.append_path(ebin)

    on_exit(fn ->
      Code.delete_path(ebin)
      File.rm_rf!(dir)
    end)

    {:ok, dir: dir}
  end

  defp quietly(fun) do
    Code.compiler_options(ignore_module_conflict: true)
    fun.()
  after
    Code.compiler_options(ignore_module_conflict: false)
  end

  defp write(dir, name, text) do
    file = Path.join(dir, name)
    File.write!(file, text)
    file
  end

  # What runs in the scratch VM, as the agent downloads it.
  defp code do
    {:ok, modules} = :application.get_key(:fly_deploy, :modules)
    {:ok, for(m <- modules, {^m, beam, _} <- [:code.get_object_code(m)], do: {m, beam})}
  end

  # -- an upgrade from one source to another, as staging finds it

  defp staged(dir, old_source, new_source, start) do
    [old, new] = for source <- [old_source, new_source], do: Versions.beams(source)
    changes = for {module, beam} <- new, old[module] != beam, do: change(dir, module, old[module], beam)
    for {module, beam} <- old, do: {:module, _} = :code.load_binary(module, ~c"#{module}", beam)
    on_exit(fn -> for {module, _} <- old, do: unload(module) end)
    pids = start.()
    facts = for c <- changes, {:ok, facts} = Beam.facts(new[c.module]), into: %{}, do: {c.module, facts}
    changed = for {m, facts} <- facts, old[m], into: %{}, do: {m, %{facts | vsn: Beam.vsn(m)}}
    {targets, others} = Processes.scan(pids, changed, [])

    %Staged{
      diff: %{changes: changes, files: [], removed: [], findings: []},
      facts: facts,
      changed: changed,
      known: %{pids: pids},
      targets: targets,
      others: others
    }
  end

  defp unload(module) do
    :code.purge(module)
    :code.delete(module)
    :code.purge(module)
  end

  defp change(dir, module, old, new) do
    %{
      module: module,
      app: :fly_deploy,
      change: if(old, do: :changed, else: :added),
      old_md5: old && Beam.md5(old),
      source: write(dir, "#{module}.new", new),
      target: Path.join(dir, "#{module}.old"),
      old_file: old && write(dir, "#{module}.old", old)
    }
  end

  # Many tests share a computer.
  @patient %{total_ms: 600_000, all_ms: 300_000, answer_ms: 120_000, setup_ms: 120_000}
  defp rehearse(staged, dir), do: Rehearsal.findings(staged, %{otp_app: :fly_deploy}, dir, &code/0, @patient)

  # -- memory

  test "where 60 MB are free, no VM is started, and nothing is read or written for one", %{dir: dir} do
    staged =
      staged(
        dir,
        server("T.Full", 1, ""),
        server("T.Full", 2, "def code_change(1, n, _), do: {:ok, n + 1}"),
        fn -> [elem(GenServer.start(T.Full, 1), 1)] end
      )

    root = Path.join(dir, "full")
    File.mkdir_p!(Path.join(root, "proc"))
    code = fn -> flunk("the agent's code was asked for") end
    ports = Port.list()

    for {kilobytes, told} <- [{60 * 1024, "60 MB of memory are free, and 61 MB are needed"}, {0, "0 MB"}] do
      File.write!(Path.join(root, "proc/meminfo"), "MemAvailable: #{kilobytes} kB\n")
      limits = Map.put(@patient, :memory, root)

      assert [%{name: "not_rehearsed", severity: :info, detail: detail}] =
               Rehearsal.findings(staged, %{otp_app: :fly_deploy}, Path.join(dir, "none"), code, limits)

      assert detail =~ told
    end

    refute File.exists?(Path.join(dir, "none"))
    assert Port.list() -- ports == []
  end

  # -- migrations

  defp server(module, vsn, code_change),
    do: """
    defmodule #{module} do
      use GenServer
      @vsn #{vsn}
      def init(state), do: {:ok, state}
      def handle_call(:get, _from, state), do: {:reply, state, state}
      #{code_change}
    end
    """

  # The module, its new code_change, the states of its processes, and what is told of it.
  @servers [
    {"T.Well", "def code_change(1, s, _), do: {:ok, Map.put(s, :at, 1)}", ~S|for(n <- 1..30, do: %{n: n})|,
     ["rehearsed info: 20 of 30 processes rehearsed, all migrate: %{n: integer} → %{at: integer, n: integer}"]},
    {"T.Same", "def code_change(1, %{n: n} = s, _) when n > 0, do: {:ok, s}",
     ~S|[%{n: 1}, %{n: 2}, %{n: 0, name: "s3cret"}]|,
     [
       "migration_fails block: its code_change fails on 1 of 3 copies of states (3 processes): ** (FunctionClauseError) no function clause matching in T.Same.code_change/3, at nofile: T.Same.code_change/3",
       "rehearsed info: 3 of 3 processes rehearsed, 2 migrate: %{n: integer} as before"
     ]},
    {"T.Key", "def code_change(1, s, _), do: {:ok, %{s | total: 1}}", ~S|[%{name: "s3cret"}]|,
     [
       "migration_fails block: its code_change fails on a copy of its state: ** (KeyError) key :total not found, at nofile: T.Key.code_change/3"
     ]},
    {"T.Bad", "def code_change(1, s, _), do: {:fine, s}", ~S|[%{name: "s3cret"}]|,
     [
       "migration_fails block: its code_change fails on a copy of its state: code_change returned {atom, %{name: string}}"
     ]},
    {"T.Keeps", "def code_change(1, s, _), do: {:ok, Map.put(s, :at, 1)}",
     ~S|[%{cart: struct(T.Cart)}, %{cart: nil}]|,
     [
       "stale_struct block (%T.Cart{} without :total): is left by the code_change of T.Keeps, on 1 of 2 copies of states (2 processes)",
       ~r/^rehearsed info: 2 of 2 processes rehearsed, all migrate: /
     ]},
    {"T.Brings", "def code_change(1, s, _), do: {:ok, %{s | cart: Map.put(s.cart, :total, 0)}}",
     ~S|[%{cart: struct(T.Cart)}]|,
     [
       "rehearsed info: 1 of 1 process rehearsed, all migrate: %{cart: %T.Cart{id: nil}} → %{cart: %T.Cart{id: nil, total: integer}}"
     ]},
    # A small table of the application is there as well, with its kind and key.
    {"T.Looks",
     "def code_change(1, s, _), do: {:ok, Map.put(s, :at, :ets.lookup_element(T.Prices, :milk, 3))}",
     ~S|[%{n: 1}]|,
     ["rehearsed info: 1 of 1 process rehearsed, all migrate: %{n: integer} → %{at: integer, n: integer}"]},
    {"T.Calls", "def code_change(1, s, _), do: {:ok, Map.put(s, :at, GenServer.call(T.Absent, :now))}",
     ~S|[%{}]|,
     [
       "not_rehearsed info: could not be tried on a copy of its state: needs the process T.Absent"
     ]},
    {"T.Tables", "def code_change(1, s, _), do: {:ok, Map.put(s, :at, :ets.lookup(:absent, 1))}", ~S|[%{}]|,
     [
       "not_rehearsed info: could not be tried on a copy of its state: needs the table :absent"
     ]},
    {"T.Files", "def code_change(1, s, _), do: {:ok, Map.put(s, :at, File.write!(s.file, \"\"))}",
     ~S|[%{file: Path.join(dir, "written")}]|,
     [
       "not_rehearsed info: 1 process not rehearsed: its code_change calls File.write!/2, which acts outside of a copy"
     ]},
    {"T.Large", "def code_change(1, s, _), do: {:ok, Map.put(s, :at, 1)}",
     ~S|[%{n: Enum.to_list(1..40_000)}]|,
     ["not_rehearsed info: 1 process not rehearsed: its states are larger than 64 KB"]},
    {"T.Funs", "def code_change(1, s, _), do: {:ok, Map.put(s, :at, s.fun.())}", ~S|[%{fun: T.Old.fun()}]|,
     [
       "rehearsed info: 1 of 1 process rehearsed, all migrate: %{fun: function} → %{at: atom, fun: function}"
     ]},
    {"T.Pids", "def code_change(1, s, _), do: {:ok, Map.put(s, :at, send(s.pid, :from_the_copy))}",
     ~S|[%{pid: test}, %{pid: spawn(fn -> :ok end)}]|,
     ["rehearsed info: 2 of 2 processes rehearsed, all migrate: %{pid: pid} → %{at: atom, pid: pid}"]},
    {"T.Busy", "def code_change(1, s, _), do: {:ok, Map.put(s, :at, 1)}", ~S|[:busy]|,
     [
       "not_rehearsed info: 1 process not rehearsed: none of its processes gave a copy of its state in time"
     ]},
    {"T.Floods",
     "def code_change(1, s, _), do: {:ok, Map.put(s, :at, for(_ <- 1..50, do: IO.puts(:binary.copy(\"x\", 100_000))))}",
     ~S|[%{}]|, ["rehearsed info: 1 of 1 process rehearsed, all migrate: %{} → %{at: [atom]}"]},
    {"T.Waits", "def code_change(1, _, _), do: {:ok, Process.sleep(:infinity)}", ~S|[%{}]|,
     [
       ~r/^migration_fails warn: its code_change fails on a copy of its state: it did not return within 2 s, at nofile: T.Waits.code_change/
     ]},
    {"T.Fills", "def code_change(1, _, _), do: {:ok, Enum.to_list(1..50_000_000)}", ~S|[%{}]|,
     [
       "migration_fails warn: its code_change fails on a copy of its state: it took more than 32 MB of memory, or was killed"
     ]},
    {"T.Binary", "def code_change(1, _, _), do: {:ok, :binary.copy(\"x\", 800_000_000)}", ~S|[%{}]|,
     [
       ~r/^migration_fails block: its code_change fails on a copy of its state: ends the VM that it is tried in: it /
     ]},
    {"T.Halts", "def code_change(1, _, _), do: System.halt(0)", ~S|[%{}]|,
     [
       "migration_fails block: its code_change fails on a copy of its state: ends the VM that it is tried in: it ended"
     ]}
  ]

  # What they hold, and kinds that are no GenServers.
  @others """
  defmodule T.Cart do
    defstruct [:id]
  end
  defmodule T.Old do
    def fun, do: fn -> :old end
  end
  defmodule T.Door do
    @behaviour :gen_statem
    @vsn 1
    def callback_mode, do: :handle_event_function
    def init(data), do: {:ok, :open, data}
    def handle_event(_type, _event, _state, _data), do: :keep_state_and_data
    def code_change(_, state, data, []), do: {:ok, state, data}
  end
  defmodule T.Events do
    @behaviour :gen_event
    @vsn 1
    def init(state), do: {:ok, state}
    def handle_event(_event, state), do: {:ok, state}
    def handle_call(_request, state), do: {:ok, :ok, state}
    def code_change(_, state, []), do: {:ok, state}
  end
  """
  @renewed [
    {"[:id]", "[:id, :total]"},
    {":old", ":new"},
    {"@vsn 1", "@vsn 2"},
    {"def code_change(_, state, data, []), do: {:ok, state, data}",
     "def code_change(1, :open, data, []), do: {:ok, {:open, 1}, data}"},
    {"def code_change(_, state, []), do: {:ok, state}", "def code_change(1, [n], []), do: {:ok, %{n: n}}"}
  ]
  @kinds [
    {"T.Door",
     [
       "rehearsed info: 1 of 1 process rehearsed, all migrate: {atom, %{n: integer}} → {{atom, integer}, %{n: integer}}"
     ]},
    {"T.Events", ["rehearsed info: 1 of 1 process rehearsed, all migrate: [integer] → %{n: integer}"]}
  ]

  test "what comes of migrations on copies of states; the application notices nothing", %{dir: dir} do
    source = fn vsn, of_server ->
      for {module, code_change, _, _} <- @servers, do: server(module, vsn, of_server.(code_change))
    end

    new = Enum.reduce(@renewed, @others, fn {from, to}, text -> String.replace(text, from, to) end)

    test = self()
    table_of_the_application(T.Prices, [:ordered_set, keypos: 2], {:price, :milk, 2})

    start = fn ->
      {:ok, door} = :gen_statem.start(T.Door, %{n: 1}, [])
      {:ok, events} = :gen_event.start()
      :ok = :gen_event.add_handler(events, T.Events, [1])

      servers =
        for {module, _, states, _} <- @servers,
            state <- states |> Code.eval_string(dir: dir, test: test) |> elem(0) do
          {:ok, pid} = GenServer.start(Module.concat([module]), state)
          # One that computes, or waits for somebody, gives nothing.
          if state == :busy, do: :erlang.suspend_process(pid, [:asynchronous])
          pid
        end

      [door, events | servers]
    end

    staged =
      staged(
        dir,
        Enum.join([@others | source.(1, fn _ -> "" end)]),
        Enum.join([new | source.(2, & &1)]),
        start
      )

    findings = rehearse(staged, dir)

    for {module, expected} <- @kinds ++ Enum.map(@servers, &{elem(&1, 0), elem(&1, 3)}) do
      here =
        for f <- findings,
            f.subject == module or f.detail =~ module,
            do: f |> line(module) |> String.replace(~r/nofile:\d+/, "nofile")

      assert {module, length(here), here} == {module, length(expected), here}

      for one <- expected,
          do:
            assert(
              Enum.any?(here, &if(is_binary(one), do: &1 == one, else: &1 =~ one)),
              inspect({one, here})
            )
    end

    refute inspect(findings) =~ "s3cret"
    refute_received :from_the_copy
    refute File.exists?(Path.join(dir, "written"))
    refute File.exists?(Path.join(dir, "scratch"))
    assert ended?(dir)
  end

  # Whose process it is shows in its group leader.
  defp table_of_the_application(name, options, row) do
    {:group_leader, leader} = Process.info(Process.whereis(FlyDeploy.Supervisor), :group_leader)
    test = self()

    owner =
      spawn_link(fn ->
        Process.group_leader(self(), leader)
        :ets.new(name, [:named_table, :protected | options])
        :ets.insert(name, row)
        send(test, :made)
        Process.sleep(:infinity)
      end)

    assert_receive :made
    on_exit(fn -> Process.exit(owner, :kill) end)
  end

  defp line(%{subject: module} = f, module), do: "#{f.name} #{f.severity}: #{f.detail}"
  defp line(f, _module), do: "#{f.name} #{f.severity} (#{f.subject}): #{f.detail}"

  # The processes that work in the folder: another test's VMs, and tests with nodes beside this one, are none of ours.
  defp working_in(dir) do
    for "/proc/" <> pid <- Path.wildcard("/proc/[0-9]*"),
        {:ok, cwd} <- [File.read_link("/proc/#{pid}/cwd")],
        String.starts_with?(cwd, dir),
        do: pid
  end

  # What was told to end may take a moment.
  defp ended?(dir, looks \\ 1_500) do
    cond do
      working_in(dir) == [] -> true
      looks == 0 -> false
      true -> Process.sleep(20) && ended?(dir, looks - 1)
    end
  end

  # -- open pages

  @pages """
  defmodule T.Shop do
    @behaviour Phoenix.LiveView
    @vsn 1
    alias Phoenix.LiveView.Rendered
    def render(assigns), do: Rendered.new(["n=", ""], fn _ -> [to_string(assigns.n)] end)
  end
  defmodule T.Fragile do
    @behaviour Phoenix.LiveView
    alias Phoenix.LiveView.Rendered
    def render(assigns), do: Rendered.new(["n=", ""], fn _ -> [to_string(assigns.n)] end)
  end
  defmodule T.Later do
    @behaviour Phoenix.LiveView
    alias Phoenix.LiveView.Rendered
    def render(assigns), do: Rendered.new(["n=", ""], fn _ -> [to_string(assigns.n)] end)
  end
  """
  @new_pages """
  defmodule T.Shop do
    @behaviour Phoenix.LiveView
    @vsn 2
    alias Phoenix.LiveView.Rendered
    def render(assigns), do: Rendered.new(["theme=", ""], fn _ -> [assigns.theme] end)
    def code_change(1, socket, _), do: {:ok, put_in(socket.assigns[:theme], "dark")}
  end
  defmodule T.Fragile do
    @behaviour Phoenix.LiveView
    alias Phoenix.LiveView.Rendered
    def render(assigns), do: Rendered.new(["m=", ""], fn _ -> [to_string(assigns.missing)] end)
  end
  defmodule T.Later do
    @behaviour Phoenix.LiveView
    alias Phoenix.LiveView.Rendered
    def mount(_, _, socket), do: {:ok, put_in(socket.assigns[:only_later], 1)}
    def handle_event(_, _, socket), do: {:noreply, put_in(socket.assigns[:opened], true)}

    def render(assigns) do
      Rendered.new(["n=", ""], fn _ ->
        cond do
          assigns.n > 5 -> [to_string(assigns.only_later)]
          assigns.n > 4 -> [to_string(assigns.opened)]
          true -> [""]
        end
      end)
    end
  end
  """

  defmodule View do
    use GenServer

    def init(state) do
      Process.put(:"$initial_call", {state.socket.view, :mount, 3})
      {:ok, state}
    end
  end

  # A mounted view's state as LiveView 1.2 has it.
  defp page(view, n) do
    live = &Module.concat(Phoenix.LiveView, &1)

    socket =
      struct!(live.(Socket),
        view: view,
        transport_pid: self(),
        assigns: %{n: n, name: "s3cret", __changed__: %{}}
      )

    rendered = live.(Renderer).to_rendered(socket, view)

    {_diff, prints, components} =
      live.(Diff).render(socket, rendered, {nil, %{}}, live.(Diff).new_components())

    %{
      socket: socket,
      components: components,
      fingerprints: prints,
      topic: "lv:1",
      join_ref: "4",
      serializer: live.(Browser)
    }
  end

  test "pages are rendered with the states that they have", %{dir: dir} do
    staged =
      staged(dir, @pages, @new_pages, fn ->
        for {view, n} <- [{T.Shop, 1}, {T.Shop, 2}, {T.Fragile, 1}, {T.Later, 1}] do
          {:ok, pid} = GenServer.start(View, page(view, n))
          pid
        end
      end)

    findings = rehearse(staged, dir)
    told = for f <- findings, into: %{}, do: {{f.subject, f.name}, {f.severity, f.detail}}

    assert {:info,
            "2 of 2 processes rehearsed, all migrate and render: %{n: integer, name: string} → %{n: integer, name: string, theme: string}; the root template is another one"} =
             told[{"T.Shop", "rehearsed"}]

    assert {:block, text} = told[{"T.Fragile", "render_fails"}]

    assert text =~
             ~r/^its rendering fails on a copy of its state: \*\* \(KeyError\) key :missing not found in: .*, at nofile:11: anonymous fn\/2 in T.Fragile.render\/1$/

    assert {:info, "1 of 1 process rehearsed, all render"} = told[{"T.Later", "rehearsed"}]

    assert {:warn,
            "its new template takes :only_later in a branch that no rehearsed page took, and no live page has it"} =
             told[{"T.Later", "may_raise"}]

    assert map_size(told) == 4
    refute inspect(findings) =~ "s3cret"
  end
end
