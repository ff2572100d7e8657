Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.ScratchVmTest do
  use ExUnit.Case

  alias FlyDeployAgent.{FreeMemory, Outside, Samples, Scratch, ScratchVm, Versions}

  @modules [
    Scratch,
    FlyDeployAgent.ScratchPort,
    FlyDeployAgent.Trial,
    FlyDeployAgent.Shapes,
    FlyDeployAgent.Failure,
    FlyDeployAgent.Needs
  ]

  defp start(name, more \\ %{}) do
    Process.flag(:trap_exit, true)
    code = for m <- @modules, {^m, beam, _} <- [:code.get_object_code(m)], do: {m, beam}
    dir = Path.join(System.tmp_dir!(), "flydeploy-#{name}-#{System.pid()}")

    usual = %{
      code: code,
      main: Scratch,
      dir: dir,
      most: 200 * 1_048_576,
      boot_ms: 120_000,
      life_ms: 600_000,
      with: []
    }

    ScratchVm.start(Map.merge(usual, more))
  end

  defp gone?(os_pid) do
    case File.read("/proc/#{os_pid}/stat") do
      {:ok, stat} -> stat =~ ") Z "
      {:error, _} -> true
    end
  end

  defp await(fun, looks \\ 3_000) do
    cond do
      fun.() -> true
      looks == 0 -> false
      true -> Process.sleep(20) && await(fun, looks - 1)
    end
  end

  test "it has nothing of the application, and goes without a trace" do
    System.put_env("SECRET_KEY_BASE", "s3cret")
    on_exit(fn -> System.delete_env("SECRET_KEY_BASE") end)
    {:ok, vm} = start("clean")
    {:ok, environment} = File.read("/proc/#{vm.os_pid}/environ")
    names = for pair <- String.split(environment, <<0>>, trim: true), do: pair |> String.split("=") |> hd()
    given = ~w(BINDIR EMU ERL_CRASH_DUMP ERL_CRASH_DUMP_SECONDS HOME LANG PATH PROGNAME ROOTDIR TMPDIR)
    # What a shell adds.
    assert (names -- given) -- ~w(PWD OLDPWD SHLVL _) == []
    assert {:ok, "1000\n"} = File.read("/proc/#{vm.os_pid}/oom_score_adj")
    assert {:ok, :ok} = ScratchVm.ask(vm, {:belongings, %{env: [], terms: [], tables: []}}, 60_000)
    ScratchVm.stop(vm)
    assert gone?(vm.os_pid)
    refute File.exists?(vm.dir)
  end

  test "whoever kills it is told of, and so is one that takes too much" do
    {:ok, vm} = start("killed")
    System.cmd("/bin/sh", ["-c", "kill -KILL #{vm.os_pid}"])
    assert {:gone, "it ended"} = ScratchVm.ask(vm, {:load, []}, 60_000)
    refute File.exists?(vm.dir)
    # A quick one has started before anybody looks at what it takes.
    small =
      with {:ok, vm} <- start("small", %{most: 1_048_576}) do
        halt(vm)
        ScratchVm.ask(vm, {:load, []}, 60_000)
      end

    assert elem(small, 1) == "it took more than 1 MB of memory"
  end

  # It has stopped once each of its threads has.
  defp halt(vm) do
    System.cmd("/bin/sh", [
      "-c",
      "kill -STOP $0; while ps -o state= -p $0 | grep -q '[^T]'; do sleep 0.01; done",
      "#{vm.os_pid}"
    ])
  end

  test "one that hangs is ended" do
    {:ok, vm} = start("hangs")
    halt(vm)
    assert {:gone, "it did not answer"} = ScratchVm.ask(vm, {:load, []}, 100)
    assert gone?(vm.os_pid)
    refute File.exists?(vm.dir)
  end

  test "it ends with its owner, and with whom the owner works for" do
    test = self()

    for killed <- [:owner, :asker] do
      asker = spawn(fn -> Process.sleep(:infinity) end)

      owner =
        spawn(fn ->
          send(test, start("owned-#{killed}", %{with: [asker]}))
          Process.sleep(:infinity)
        end)

      assert_receive {:ok, vm}, 60_000
      Process.exit(if(killed == :owner, do: owner, else: asker), :kill)
      assert await(fn -> gone?(vm.os_pid) and not File.exists?(vm.dir) end)
      refute Process.alive?(owner)
      Process.exit(asker, :kill)
    end
  end

  test "pids of a VM without a name are nobody's there" do
    assert node() == :nonode@nohost
    {pid, ref, name} = {self(), make_ref(), "nonode@nohost"} |> ScratchVm.encode() |> :erlang.binary_to_term()
    assert node(pid) == :nobody@nohost and pid != self()
    assert node(ref) == :nobody@nohost
    assert name == "nonode@nohost"
  end

  # -- samples

  defmodule Holder do
    use GenServer
    def init(state), do: {:ok, state}
  end

  test "samples are different from each other, and none is large" do
    states =
      List.duplicate(%{n: 1}, 100) ++
        for(key <- [:a, :b, :c], do: %{key => 1}) ++ [%{n: Enum.to_list(1..40_000)}]

    pids = for state <- states, do: GenServer.start(Holder, state) |> elem(1)
    away = spawn(fn -> Process.sleep(:infinity) end)
    %{states: taken, large: 1} = Samples.take([away | pids], :gen_server, Holder)
    taken = Enum.map(taken, &:erlang.binary_to_term/1)
    assert length(taken) == 20
    for key <- [:n, :a, :b, :c], do: assert(Enum.any?(taken, &is_map_key(&1, key)))
    for pid <- [away | pids], do: Process.exit(pid, :kill)
  end

  # -- what is free

  test "free memory is that of the control group, else the machine's" do
    root = Path.join(System.tmp_dir!(), "flydeploy-memory-#{System.pid()}")
    on_exit(fn -> File.rm_rf!(root) end)

    write = fn files ->
      File.rm_rf!(root)

      for {name, text} <- files do
        File.mkdir_p!(Path.dirname(Path.join(root, name)))
        File.write!(Path.join(root, name), text)
      end

      FreeMemory.bytes(root)
    end

    meminfo = {"proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    1000 kB\n"}
    group = {"proc/self/cgroup", "0::/app\n"}
    assert write.([]) == nil
    assert write.([meminfo]) == 1_024_000
    two = "sys/fs/cgroup/app/memory."
    assert write.([meminfo, group, {two <> "max", "max\n"}, {two <> "current", "5"}]) == 1_024_000

    assert write.([
             meminfo,
             group,
             {two <> "max", "500000\n"},
             {two <> "current", "200000\n"},
             {two <> "stat", "anon 1\ninactive_file 50000\n"}
           ]) == 350_000

    one = "sys/fs/cgroup/memory/memory."

    assert write.([
             meminfo,
             {"proc/self/cgroup", "4:memory:/outside\n"},
             {one <> "limit_in_bytes", "500000\n"},
             {one <> "usage_in_bytes", "200000\n"}
           ]) == 300_000
  end

  # -- what acts outside

  @acts """
  defmodule T.Acts do
    def none(s), do: Map.put(s, :at, System.os_time()) |> Enum.map(&File.exists?/1)
    def file(s), do: helper(s)
    def captured(s), do: Enum.each(s, &File.rm/1)
    def port(_), do: System.cmd("true", [])
    def connect(s), do: FlyDeployAgent.Http.get(s, [], nil, fn _, _ -> :ok end)
    defp helper(s), do: File.write("x", s)
  end
  """

  test "what opens connections, writes files or runs programs is found, in other modules too" do
    beams = Versions.beams(@acts)
    acts = &Outside.acts(T.Acts, [{&1, 1}], fn module -> beams[module] end)
    assert acts.(:none) == nil
    assert acts.(:file) == {:calls, {File, :write, 2}}
    assert acts.(:captured) == {:calls, {File, :rm, 1}}
    assert acts.(:port) == {:calls, {System, :cmd, 2}}
    assert {:calls, {_, _, _}} = acts.(:connect)
  end
end
