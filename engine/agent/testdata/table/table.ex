defmodule Table do
  @moduledoc """
  The rows of the table of changes, in a node of the release `changes`: each is a change of a few modules, `T.…`, which get a name of
  their own here. It compiles both versions, starts what runs of the old one, and looks whether it works.

  A row is `%{what, old, new, run, look, finds}`: `old` a source, `new` a source or `[{part of the old one, what replaces it}]`;
  `run` starts something, `look` gets it as `it` and gives true if it works; `finds` are the names of the findings, in the order of the
  alphabet. Rows with `soak: true` repeat what another one shows: only the soak has them.
  """

  @lib :code.lib_dir(:changes)
  @consolidated Path.join([System.fetch_env!("RELEASE_ROOT"), "releases", System.fetch_env!("RELEASE_VSN"), "consolidated"])

  @doc """
  Compiles the rows of `files`, loads and starts their old versions, and writes releases to `out/0`, `out/1`, …, in each of which further rows are
  new. Prints each row's number, release, what it is, and its findings. `chosen` is a regular expression for what they are, or empty.
  """
  def prepare(files, out, soak?, chosen) do
    Logger.configure(level: :none)
    register()
    rows = for file <- files, row <- elem(Code.eval_file(file), 0), chosen?(row, soak?, chosen), do: row
    rows = rows |> Enum.with_index(1) |> Enum.map(&named/1) |> grouped()
    # The old version last: it is the one that stays loaded.
    new = compile(rows, & &1.new)
    old = compile(rows, & &1.old)
    for {_row, beams} <- old, {module, beam} <- beams, do: load(module, beam)
    old = for {row, beams} <- old, do: {row, beams, consolidated(beams)}
    new = for {row, beams} <- new, do: {row, beams, consolidated(beams)}
    for n <- 0..(rows |> Enum.map(& &1.group) |> Enum.max()), do: release(Path.join(out, "#{n}"), rows, n, old, new)
    for {_, _, protocols} <- old, {module, beam} <- protocols, do: load(module, beam, @consolidated)
    app_file(Path.join(@lib, "ebin/changes.app"), for({_, beams, _} <- old, {m, _} <- beams, do: m))
    for row <- rows, do: within(fn -> Process.put({:it, row.n}, evaluated(row.run, row.n, nil)) end)
    for row <- rows, do: Process.put({:row, row.n}, row)
    within(fn -> Process.put(:rows, rows) end)
    for row <- rows, do: IO.puts(Enum.join([row.n, row.group, Enum.join(row.finds, " "), row.what], "\t"))
  end

  defp chosen?(row, soak?, ""), do: soak? or not Map.get(row, :soak, false)
  defp chosen?(row, _soak?, chosen), do: row.what =~ Regex.compile!(chosen)

  @doc "Prints the number of each row of a release, and `works` or why not."
  def look(group) do
    for row <- within(fn -> Process.get(:rows) end), group in [nil, row.group] do
      it = within(fn -> Process.get({:it, row.n}) end)
      IO.puts("#{row.n}\t#{looked(row, it)}")
    end
  end

  defp looked(row, it) do
    case evaluated(row.look, row.n, it) do
      true -> "works"
      other -> "gives #{inspect(other, limit: 10, printable_limit: 200)}"
    end
  catch
    kind, reason -> kind |> Exception.format_banner(reason, __STACKTRACE__) |> inspect(printable_limit: 300)
  end

  # What rows start lives in one process, which has no state that anybody could ask for.
  defp register do
    unless Process.whereis(__MODULE__) do
      pid = spawn(&serve/0)
      Process.register(pid, __MODULE__)
    end
  end

  defp serve do
    receive do
      {from, ref, fun} -> send(from, {ref, fun.()})
    end

    serve()
  end

  defp within(fun) do
    ref = Process.monitor(__MODULE__)
    send(__MODULE__, {self(), ref, fun})

    receive do
      {^ref, told} -> told
      {:DOWN, ^ref, _, _, reason} -> raise "a row cannot be started: #{inspect(reason)}"
    end
  end

  # -- sources

  defp named({row, n}) do
    new = if is_list(row.new), do: edited(row.old, row.new), else: row.new
    row = Map.merge(%{finds: [], run: "nil", look: "true"}, row)
    %{row | old: named(row.old, n), new: named(new, n)} |> Map.put(:n, n)
  end

  defp named(source, n), do: source |> String.replace(~r/\bT\./, "T#{n}.") |> String.replace(~r/:t_(\w+)/, ":t#{n}_\\1")

  defp edited(source, edits) do
    Enum.reduce(edits, source, fn {from, to}, text ->
      unless text =~ from, do: raise("#{from} is not part of\n#{text}")
      String.replace(text, from, to)
    end)
  end

  # A status has room for a bounded number of findings, and tells three of a name one by one. Those that find nothing come first.
  defp grouped(rows) do
    {rows, _} =
      Enum.map_reduce(rows, %{}, fn row, groups ->
        group = Enum.find(0..100, fn n -> row.finds == [] or room?(Map.get(groups, n, []), row.finds) end)
        {Map.put(row, :group, group), Map.update(groups, group, [row.finds], &[row.finds | &1])}
      end)

    rows
  end

  defp room?(taken, finds),
    do: Enum.count(taken, &(&1 != [])) < 10 and Enum.all?(finds, fn name -> Enum.count(taken, &(name in &1)) < 3 end)

  defp compile(rows, source) do
    Code.compiler_options(ignore_module_conflict: true)
    for row <- rows, do: {row, quietly(fn -> Code.compile_string(source.(row), "row.ex") end)}
  after
    Code.compiler_options(ignore_module_conflict: false)
  end

  defp quietly(fun) do
    {:ok, io} = StringIO.open("")
    stderr = Process.whereis(:standard_error)
    Process.unregister(:standard_error)
    Process.register(io, :standard_error)

    try do
      for {module, beam} <- fun.() do
        :code.delete(module)
        :code.purge(module)
        {module, beam}
      end
    after
      Process.unregister(:standard_error)
      Process.register(stderr, :standard_error)
    end
  end

  defp load(module, beam, dir \\ Path.join(@lib, "ebin")) do
    file = Path.join(dir, "#{module}.beam")
    File.write!(file, beam)
    :code.purge(module)
    {:module, _} = :code.load_binary(module, String.to_charlist(file), beam)
    :code.purge(module)
  end

  # What mix makes of the protocols among these modules, whose files are those of the old version.
  defp consolidated(beams) do
    impls =
      for {_, beam} <- beams,
          {:ok, {_, [attributes: attributes]}} <- [:beam_lib.chunks(beam, [:attributes])],
          [protocol: protocol, for: type] <- [attributes[:__impl__]],
          do: {protocol, type}

    for {module, _} <- beams, function_exported?(module, :__protocol__, 1) do
      {:ok, beam} = Protocol.consolidate(module, for({^module, type} <- impls, do: type))
      {module, beam}
    end
  end

  defp release(dir, rows, n, old, new) do
    File.mkdir_p!(Path.join(dir, "consolidated"))

    modules =
      for {%{group: group}, before, now} <- Enum.zip([rows, old, new]),
          {_, beams, protocols} = if(group <= n, do: now, else: before),
          :ok = Enum.each(protocols, &write(Path.join(dir, "consolidated"), &1)),
          {module, _} = beam <- beams do
        write(dir, beam)
        module
      end

    File.cp!(Path.join(@lib, "ebin/changes.app"), Path.join(dir, "changes.app"))
    app_file(Path.join(dir, "changes.app"), modules)
  end

  defp write(dir, {module, beam}), do: File.write!(Path.join(dir, "#{module}.beam"), beam)

  defp app_file(file, modules) do
    {:ok, [{:application, app, keys}]} = :file.consult(file)
    keys = Keyword.update!(keys, :modules, &(&1 ++ modules))
    File.write!(file, :io_lib.format("~p.~n", [{:application, app, keys}]))
  end

  defp evaluated(source, n, it) do
    {value, _} = Code.eval_string("import Table\n" <> named(source, n), it: it)
    value
  end

  # -- what rows do

  def start(module, arg, opts \\ []) do
    {:ok, pid} = GenServer.start(module, arg, opts)
    pid
  end

  def statem(module, arg) do
    {:ok, pid} = :gen_statem.start(module, arg, [])
    pid
  end

  def ask(pid, message), do: GenServer.call(pid, message, 60_000)

  @doc "Whether a message is handled without ending its process: system messages come behind it."
  def takes?(pid, message) do
    send(pid, message)
    _ = :sys.get_state(pid, 60_000)
    Process.alive?(pid)
  end

  @doc "Starts an application with this module; it ends with the node."
  def app(module) do
    name = module |> Module.split() |> hd() |> String.downcase() |> String.to_atom()
    keys = [mod: {module, []}, modules: [module], vsn: ~c"1", registered: [], applications: [:kernel]]
    :ok = :application.load({:application, name, keys})
    {:ok, _} = Application.ensure_all_started(name)
    name
  end

  @doc "A supervisor of these children, which ends with nobody."
  def sup(children, opts \\ []) do
    {:ok, pid} = Supervisor.start_link(children, [strategy: :one_for_one] ++ opts)
    Process.unlink(pid)
    pid
  end

  @doc "Whether the release on disk has a module: it will be there after a restart."
  def listed?(module) do
    {:ok, [{:application, _, keys}]} = :file.consult(Path.join(@lib, "ebin/changes.app"))
    module in keys[:modules]
  end

  @doc "Whether a supervisor's child is alive again after it was ended."
  def restarts?(supervisor, id) do
    sup = if is_atom(supervisor), do: Process.whereis(supervisor), else: supervisor
    pid = child(sup, id)
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)
    receive do: ({:DOWN, ^ref, _, _, _} -> another?(sup, id, pid))
  end

  defp another?(sup, id, pid) do
    case child(sup, id) do
      ^pid -> another?(sup, id, pid)
      new -> is_pid(new)
    end
  end

  defp child(sup, id) do
    Enum.find_value(Supervisor.which_children(sup), fn {found, pid, _, _} -> if found == id, do: pid end)
  catch
    :exit, _ -> nil
  end
end
