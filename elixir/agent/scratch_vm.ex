defmodule FlyDeployAgent.ScratchVm do
  @moduledoc """
  Another VM beside the application's, from the same ERTS and the same libraries, in which nothing of the application runs: what
  is tried there harms nobody. It speaks with the process that started it, over file descriptors of its own, so what its code prints
  goes nowhere; see `FlyDeployAgent.Scratch` for its side.

  It is niced and is the first to be killed where memory runs out, has no distribution, no environment, no network where the kernel
  allows to take it away, and a folder of its own. It ends with its owner, when it takes too much, and after a time in any case.
  """

  alias FlyDeployAgent.Release

  # Kilobytes of addresses, of which it reserves half a gigabyte; seconds of CPU.
  @addresses_kb 900_000
  @cpu_s 60
  # How often it is looked at what it takes.
  @look_ms 50
  @killed_ms 5_000
  # Of one answer. It cuts what it says far below that.
  @answer_bytes 1_000_000

  # A namespace without network needs no rights where the kernel has user namespaces, or root's.
  @shell """
  ulimit -c 0; ulimit -t "$1"; ulimit -v "$2"; network=$3; shift 3
  { echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null
  if command -v nice >/dev/null; then set -- nice -n 19 "$@"; fi
  if [ "$network" != true ] && unshare -U -n true 2>/dev/null; then set -- unshare -U -n "$@"; fi
  exec "$@" </dev/null >/dev/null 2>&1
  """

  # Reads the code of its side from the first packet, and begins.
  @begin "P=open_port({fd,3,4},[{packet,4},binary,eof]),receive {P,{data,B}} -> {Path,Ms,M,A}=binary_to_term(B),true=code:set_path(Path),[{module,N}=code:load_binary(N,[],C)||{N,C}<-Ms],M:main(P,A);_ -> halt() end."

  # One scheduler each, and little address space for literals.
  @flags ~w(-noinput -mode interactive +S 1:1 +SDcpu 1:1 +SDio 1 +A 1 +MIscs 32 -kernel logger_level none)

  @enforce_keys [:port, :os_pid, :started, :dir, :most]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          port: port,
          os_pid: pos_integer,
          started: binary | nil,
          dir: Path.t(),
          most: pos_integer
        }

  @doc """
  Starts one, owned by the calling process, which must trap exits. `code` are its side's modules, `{module, beam}`, of which `main` begins;
  `dir` is a folder to make; `most` is the memory that it may take, in bytes; `boot_ms` how long it may take to answer for the first time; after
  `life_ms` it ends in any case. It ends, and its folder goes, with any of `with`, too. With `network` it has the machine's.
  """
  @spec start(%{
          required(:code) => [{module, binary}],
          required(:main) => module,
          required(:dir) => Path.t(),
          required(:most) => pos_integer,
          required(:boot_ms) => pos_integer,
          required(:life_ms) => pos_integer,
          required(:with) => [pid],
          optional(:network) => boolean
        }) ::
          {:ok, t} | {:error, binary}
  def start(%{code: code, main: main, dir: dir, most: most} = options) do
    File.mkdir!(dir)
    port = open(dir, Map.get(options, :network, false))
    os_pid = with {:os_pid, os_pid} <- Port.info(port, :os_pid), do: os_pid
    vm = %__MODULE__{port: port, os_pid: os_pid, started: os_pid && started(os_pid), dir: dir, most: most}
    owner = self()
    spawn(fn -> guard(vm, owner, options.with) end)
    first = {path(), code, main, %{life_ms: options.life_ms}}

    with :ok <- send_packet(port, :erlang.term_to_binary(first)),
         {:ok, :ready} <- await(vm, :start, now() + options.boot_ms) do
      {:ok, vm}
    else
      {:gone, why} ->
        stop(vm)
        {:error, why}
    end
  end

  defp open(dir, network) do
    root = List.to_string(:code.root_dir())
    bin = Path.join([root, "erts-#{:erlang.system_info(:version)}", "bin"])

    args = [Path.join(bin, "erlexec") | boot(root)] ++ @flags ++ ["-eval", @begin]

    limits = [Integer.to_string(@cpu_s), Integer.to_string(@addresses_kb), Atom.to_string(network)]
    none = for {name, _} <- System.get_env(), do: {String.to_charlist(name), false}

    own = [
      {~c"ROOTDIR", String.to_charlist(root)},
      {~c"BINDIR", String.to_charlist(bin)},
      {~c"EMU", ~c"beam"},
      {~c"PROGNAME", ~c"erl"},
      {~c"PATH", ~c"/usr/local/bin:/usr/bin:/bin"},
      {~c"LANG", ~c"C.UTF-8"},
      {~c"HOME", String.to_charlist(dir)},
      {~c"TMPDIR", String.to_charlist(dir)},
      {~c"ERL_CRASH_DUMP", ~c"/dev/null"},
      {~c"ERL_CRASH_DUMP_SECONDS", ~c"0"}
    ]

    Port.open({:spawn_executable, ~c"/bin/sh"}, [
      :nouse_stdio,
      :binary,
      :exit_status,
      packet: 4,
      cd: String.to_charlist(dir),
      env: none ++ own,
      args: ["-c", @shell, "sh" | limits ++ args]
    ])
  end

  # A release has no boot script beside its ERTS.
  defp boot(root) do
    release = Release.root() && Path.join([Release.root(), "releases", System.get_env("RELEASE_VSN", "")])

    if release && File.exists?(Path.join(release, "start_clean.boot")),
      do: [
        "-boot",
        Path.join(release, "start_clean"),
        "-boot_var",
        "RELEASE_LIB",
        Path.join(Release.root(), "lib")
      ],
      else: ["-boot", Path.join([root, "bin", "start_clean"])]
  end

  # It works in another folder.
  defp path do
    for dir <- :code.get_path(), dir = Path.expand(dir), File.exists?(dir), do: String.to_charlist(dir)
  end

  @doc "Asks, and waits that long for the answer. Where there is none, or it takes too much meanwhile, the VM has gone, and it is told why."
  @spec ask(t, term, pos_integer) :: {:ok, term} | {:gone, binary}
  def ask(vm, request, timeout_ms) do
    id = System.unique_integer()
    told = with :ok <- send_packet(vm.port, encode({id, request})), do: await(vm, id, now() + timeout_ms)
    if match?({:gone, _}, told), do: stop(vm)
    told
  end

  defp send_packet(port, packet) do
    true = Port.command(port, packet)
    :ok
  rescue
    ArgumentError -> {:gone, "it ended"}
  end

  # Pids and references of a VM without a name would be the scratch VM's own: they get another name, as long as theirs.
  @nameless <<119, 13, "nonode@nohost">>
  @nobody <<119, 13, "nobody@nohost">>

  @doc "A term as the scratch VM may read it: no pid in it is one of its own."
  @spec encode(term) :: binary
  def encode(term) do
    packet = :erlang.term_to_binary(term, minor_version: 2)
    if node() == :nonode@nohost, do: :binary.replace(packet, @nameless, @nobody, [:global]), else: packet
  end

  defp await(%{port: port} = vm, id, deadline) do
    receive do
      {^port, {:data, answer}} ->
        case answer(answer) do
          {^id, told} -> {:ok, told}
          # To what was given up.
          {_late, _told} -> await(vm, id, deadline)
          :too_large -> {:gone, "its answer is too large"}
        end

      {^port, {:exit_status, _}} ->
        {:gone, "it ended"}

      {:EXIT, ^port, _} ->
        {:gone, "it ended"}
    after
      @look_ms ->
        cond do
          resident(vm.os_pid) > vm.most ->
            {:gone, "it took more than #{div(vm.most, 1_048_576)} MB of memory"}

          now() > deadline ->
            {:gone, "it did not answer"}

          true ->
            await(vm, id, deadline)
        end
    end
  end

  defp answer(packet) when byte_size(packet) > @answer_bytes, do: :too_large
  defp answer(packet), do: :erlang.binary_to_term(packet)

  @doc "The bytes of memory that a process of the operating system has for itself; 0 for none."
  @spec resident(pos_integer | nil) :: non_neg_integer
  def resident(os_pid) do
    with {:ok, text} <- File.read("/proc/#{os_pid}/status"),
         [_, kilobytes] <- Regex.run(~r/^RssAnon:\s+(\d+) kB/m, text),
         do: String.to_integer(kilobytes) * 1024,
         else: (_ -> 0)
  end

  @doc "Ends it, and removes its folder."
  @spec stop(t) :: :ok
  def stop(%{port: port} = vm) do
    if kill(vm) do
      receive do
        {^port, {:exit_status, _}} -> :ok
        {:EXIT, ^port, _} -> :ok
      after
        @killed_ms -> :ok
      end
    end

    close(port)
    File.rm_rf(vm.dir)
    :ok
  end

  defp close(port) do
    Port.close(port)
    :ok
  rescue
    ArgumentError -> :ok
  end

  # Whether there was something to kill: a pid may be another's by now.
  defp kill(%{os_pid: os_pid, started: started}) do
    alive? = started != nil and started(os_pid) == started
    if alive?, do: System.cmd("/bin/sh", ["-c", "kill -KILL #{os_pid}"], stderr_to_stdout: true)
    alive?
  end

  # Its start time, in clock ticks since the machine's. The second field is the program's name in parentheses and may contain anything.
  defp started(os_pid) do
    with {:ok, stat} <- File.read("/proc/#{os_pid}/stat"),
         do: stat |> String.split(")") |> List.last() |> String.split() |> Enum.at(19),
         else: (_ -> nil)
  end

  # The owner may be killed: then nobody else knows of what it started.
  defp guard(vm, owner, others) do
    refs = for pid <- [owner | others], do: Process.monitor(pid)

    receive do
      {:DOWN, ref, _, _, _} when is_reference(ref) ->
        for ref <- refs, do: Process.demonitor(ref, [:flush])
        Process.exit(owner, :kill)
        kill(vm)
        File.rm_rf(vm.dir)
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
