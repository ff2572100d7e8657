defmodule FlyDeployAgent.Shapes do
  @moduledoc """
  Who holds what the new code will not know, or what will be gone: structs of an old shape, functions that are not exported any
  more, functions of the version that will be purged. In processes, tables and persistent terms. A process looks at its own
  state, of which nothing is copied; of a limited number of its terms, and never at a value.
  """

  alias FlyDeployAgent.{Inquiry, Origin, Places, Release, Rounds, Value}

  # What is looked for: structs with the fields that they are to have, functions that are gone, and modules of which one version is
  # purged, with the md5 of the one that stays; structs that a protocol is no longer implemented for; and the shapes of some processes'
  # states, and of those of `handlers`. `names` are those of the gone of which no function of that name is left,
  # `settings` what some processes may still have in their states.
  @type sought :: %{
          optional(:handlers) => [module],
          optional(:names) => %{{module, atom} => arity},
          optional(:settings) => %{pid => [{Places.path(), term}]},
          structs: %{module => [atom]},
          gone: MapSet.t(mfa),
          purged: %{module => binary},
          impls: %{module => protocol :: module},
          shapes: %{pid => kind :: atom}
        }
  @type found ::
          {:struct, module, [atom]}
          | {:gone, mfa}
          | {:purged, module}
          | {:impl, protocol :: module, module}
          | {:shape, kind :: atom, Value.t()}
          | {:set, [Places.path()]}
          | {:dictionary, Value.t()}
  @type holder :: module | {:supervisor, pid} | {:table, term} | {:term, binary}

  # Terms of a state that are looked at: a fraction of a millisecond.
  @terms 1_000
  # Processes that are asked.
  @asked 20_000
  # For those that were busy, after all others.
  @patience_ms 1_000
  # All managers of events together.
  @handlers_ms 250
  # Entries of a process' dictionary that are looked at, and whose they are not.
  @entries 20
  @others [:rand_seed, :elixir_checker_info]
  # Rows of a table, and tables whose rows are small enough to be copied, in bytes.
  @rows 50
  @row_bytes 4_096
  # Where a server waits for its next message.
  @waiting [{:gen_server, :loop}, {:gen_statem, :loop_receive}, {:gen_statem, :loop}]

  # How keys are called under which a function's name stands.
  @functions ["fun", "callback", "handler", "action", "method"]

  @doc "What of the sought lies within `term`."
  @spec within(term, sought) :: [found]
  def within(term, sought), do: [term] |> walk(sought, @terms, []) |> Enum.uniq()

  defp walk([], _sought, _left, found), do: found
  defp walk(_terms, _sought, 0, found), do: found

  defp walk([term | rest], sought, left, found),
    do: walk(parts(term, left, rest), sought, left - 1, look(term, sought, found))

  defp look(%{__struct__: module} = struct, %{structs: structs}, found) when is_map_key(structs, module) do
    case Enum.reject(structs[module], &is_map_key(struct, &1)) do
      [] -> found
      fields -> [{:struct, module, fields} | found]
    end
  end

  defp look(%{__struct__: module}, %{impls: impls}, found) when is_map_key(impls, module),
    do: [{:impl, impls[module], module} | found]

  defp look({m, f, args}, sought, found) when is_atom(m) and is_atom(f) and is_list(args),
    do: gone({m, f, arity(args, 0)}, sought, found)

  # A module beside the name of its function, however many arguments it will get.
  defp look(tuple, %{names: names}, found) when tuple_size(tuple) in 2..8 and names != %{},
    do: tuple |> Tuple.to_list() |> named(names, found)

  # The same in a map, whose key says that it is one.
  defp look(%{} = map, %{names: names}, found) when names != %{} and map_size(map) in 2..16 do
    modules = for {_, m} <- Map.to_list(map), is_atom(m), do: m

    for {key, f} <- Map.to_list(map),
        is_atom(f) and function?(key),
        m <- modules,
        is_map_key(names, {m, f}) do
      {:gone, {m, f, names[{m, f}]}}
    end ++ found
  end

  defp look(fun, sought, found) when is_function(fun) do
    {:module, m} = :erlang.fun_info(fun, :module)

    case :erlang.fun_info(fun, :type) do
      {:type, :external} ->
        {:name, f} = :erlang.fun_info(fun, :name)
        {:arity, a} = :erlang.fun_info(fun, :arity)
        gone({m, f, a}, sought, found)

      {:type, :local} when is_map_key(sought.purged, m) ->
        if :erlang.fun_info(fun, :new_uniq) == {:new_uniq, sought.purged[m]},
          do: found,
          else: [{:purged, m} | found]

      _ ->
        found
    end
  end

  defp look(_term, _sought, found), do: found

  defp function?(key) when is_atom(key), do: key |> Atom.to_string() |> function?()
  defp function?(key) when is_binary(key), do: key == "f" or String.contains?(key, @functions)
  defp function?(_key), do: false

  defp named([m, f | rest], names, found) when is_map_key(names, {m, f}),
    do: named(rest, names, [{:gone, {m, f, names[{m, f}]}} | found])

  defp named([_ | rest], names, found), do: named(rest, names, found)
  defp named([], _names, found), do: found

  defp gone(mfa, sought, found), do: if(mfa in sought.gone, do: [{:gone, mfa} | found], else: found)

  # -1, which no function has, for what is no list of arguments.
  defp arity([], n), do: n
  defp arity([_ | rest], n) when n < 255, do: arity(rest, n + 1)
  defp arity(_other, _n), do: -1

  # Breadth is bounded as well: a map of a million keys is not turned into a list.
  defp parts(%{} = map, left, rest), do: map |> :maps.iterator() |> :maps.next() |> values(left, rest)
  defp parts([head | tail], _left, rest), do: [head, tail | rest]

  defp parts(tuple, left, rest) when is_tuple(tuple) and tuple_size(tuple) <= left,
    do: Tuple.to_list(tuple) ++ rest

  # What a function has closed over.
  defp parts(fun, _left, rest) when is_function(fun) do
    {:env, env} = :erlang.fun_info(fun, :env)
    [env | rest]
  end

  defp parts(_term, _left, rest), do: rest

  # The elements of a MapSet are keys.
  defp values({key, value, iterator}, left, rest) when left > 0 and (is_map(key) or is_tuple(key)),
    do: [key, value | values(:maps.next(iterator), left - 2, rest)]

  defp values({_key, value, iterator}, left, rest) when left > 0,
    do: [value | values(:maps.next(iterator), left - 1, rest)]

  defp values(_end, _left, rest), do: rest

  @doc """
  The holders of what is sought, `[%{holder, found, pid}]`: the callback module of a process, a supervisor, a table or a persistent
  term's key; how many processes there was no time to ask; and who of those that live has not answered.
  """
  @spec holders(
          sought,
          targets :: [FlyDeployAgent.Target.t()],
          servers :: [{pid, holder}],
          patience_ms :: non_neg_integer
        ) ::
          {[%{holder: holder, found: found, pid: pid | nil}], unasked :: non_neg_integer, silent :: [holder]}
  def holders(sought, targets, servers, patience_ms \\ @patience_ms) do
    modules = for %{pid: pid, kind: kind, module: module} <- targets, kind != :gen_event, do: {pid, module}
    anywhere? = anywhere?(sought)

    {asked, unasked} =
      (modules ++ servers)
      |> Enum.filter(fn {pid, _} -> anywhere? or is_map_key(sought.shapes, pid) end)
      |> Enum.split(@asked)

    {told, silent, late} = Inquiry.all(for({pid, _} <- asked, do: {pid, looking(pid, sought)}), patience_ms)
    holders = Map.new(asked)
    found = for {pid, all} <- told, found <- all, do: %{holder: holders[pid], found: found, pid: pid}

    others = if anywhere?, do: tables(sought) ++ terms(sought), else: []

    {found ++ handlers(targets, sought) ++ others, late + length(unasked),
     Enum.map(silent, &Map.fetch!(holders, &1))}
  end

  # Whether something is sought that whoever there is may hold: otherwise only those are asked whose shapes are.
  defp anywhere?(sought),
    do: Enum.any?([:structs, :gone, :purged, :impls], &(not Enum.empty?(Map.fetch!(sought, &1))))

  # The states of changed handlers of events, which others may stand beside: how many there are nobody knows.
  defp handlers(targets, sought) do
    modules = Map.get(sought, :handlers, [])
    asked = for %{kind: :gen_event, pid: pid} <- targets, do: {pid, &handler(&1, modules, sought)}

    for {pid, {module, all}} <- Rounds.inside(asked, @handlers_ms, :any),
        found <- all,
        do: %{holder: module, found: found, pid: pid}
  end

  defp handler({module, _id, state}, modules, sought),
    do: if(module in modules, do: {module, inside(state, :gen_event, sought)}, else: :nothing)

  @doc "The other servers that wait for a message, with the modules that they run; OTP's own are left out."
  @spec servers(targets :: [FlyDeployAgent.Target.t()], own :: [pid]) :: [{pid, holder}]
  def servers(targets, own) do
    known = MapSet.new(own ++ Enum.map(targets, & &1.pid))
    for pid <- Process.list(), pid not in known, holder = server(pid), do: {pid, holder}
  end

  defp looking(pid, %{settings: %{} = settings} = sought) when is_map_key(settings, pid) do
    {kind, kept, sought} = {sought.shapes[pid], settings[pid], everywhere(sought)}
    fn state -> set(kind, state, kept) ++ inside(state, kind, sought) end
  end

  defp looking(pid, sought) do
    {kind, sought} = {sought.shapes[pid], everywhere(sought)}
    &inside(&1, kind, sought)
  end

  # What is sought of all: each that is asked gets a copy.
  defp everywhere(sought), do: Map.drop(sought, [:shapes, :settings, :handlers])

  defp set(:gen_statem, {_name, data}, kept), do: set(:gen_server, data, kept)

  defp set(_kind, state, kept) do
    case for({path, value} <- kept, Places.at(state, path) === {:ok, value}, do: path) do
      [] -> []
      paths -> [{:set, paths}]
    end
  end

  defp inside(state, nil, sought), do: within(state, sought)
  defp inside(state, kind, sought), do: shape(kind, state) ++ dictionary() ++ within(state, sought)

  # What the process that runs this keeps beside its state.
  defp dictionary do
    own =
      for {key, value} <- Process.get(), is_atom(key), key not in @others, not system?(key), do: {key, value}

    if own == [],
      do: [],
      else: [
        {:dictionary, {:map, own |> Enum.take(@entries) |> Map.new(fn {k, v} -> {k, Value.of(v)} end), false}}
      ]
  end

  defp system?(key), do: match?("$" <> _, Atom.to_string(key))

  # Pages and channels keep what is theirs in a socket.
  defp shape(:view, %{socket: socket}), do: [{:shape, :view, socket(socket)}]
  defp shape(:view, _not_mounted), do: []
  defp shape(:channel, socket), do: [{:shape, :channel, socket(socket)}]
  defp shape(:gen_server, %{__struct__: GenStage, state: state}), do: [{:shape, :gen_server, Value.of(state)}]
  defp shape(kind, state), do: [{:shape, kind, Value.of(state)}]

  defp socket(%{__struct__: module, assigns: assigns} = socket) do
    values = for {key, _} <- Map.from_struct(socket), into: %{}, do: {key, :any}
    {:map, Map.merge(values, %{__struct__: {:name, module}, assigns: Value.of(assigns)}), true}
  end

  defp socket(_other), do: :any

  # nil for one that is busy, that hibernates, or that belongs to OTP.
  defp server(pid) do
    with {:current_function, {module, function, _}} when {module, function} in @waiting <-
           Process.info(pid, :current_function),
         {module, _, _} <- Origin.initial_call(pid),
         false <- otp?(module) do
      if module == :supervisor, do: {:supervisor, pid}, else: module
    else
      _ -> nil
    end
  end

  # Supervisors are OTP's, what they start is not.
  defp otp?(:supervisor), do: false

  defp otp?(module) do
    case :application.get_application(module) do
      {:ok, app} -> Release.origin(app) == :otp
      :undefined -> false
    end
  end

  defp tables(sought) do
    for table <- :ets.all(),
        row <- rows(table),
        found <- within(row, sought),
        uniq: true,
        do: %{holder: {:table, :ets.info(table, :name)}, found: found, pid: nil}
  end

  defp small?(table) do
    with owner when is_pid(owner) <- :ets.info(table, :owner),
         protection when protection in [:public, :protected] <- :ets.info(table, :protection),
         size when size > 0 <- :ets.info(table, :size) do
      :ets.info(table, :memory) * :erlang.system_info(:wordsize) <= size * @row_bytes + 65_536
    else
      _ -> false
    end
  end

  @doc "Some rows of a table, none where they are private, or too large to be copied."
  @spec rows(:ets.table()) :: [tuple]
  def rows(table) do
    with true <- small?(table),
         {rows, _continuation} <- :ets.match_object(table, :_, @rows),
         do: rows,
         else: (_ -> [])
  rescue
    # It has gone meanwhile.
    ArgumentError -> []
  end

  # They are not copied.
  defp terms(sought) do
    for {key, value} <- :persistent_term.get(),
        found <- within(value, sought),
        uniq: true,
        do: %{holder: {:term, term_name(key)}, found: found, pid: nil}
  end

  defp term_name(key) when is_atom(key), do: inspect(key)
  defp term_name(key) when is_tuple(key) and is_atom(elem(key, 0)), do: "{#{inspect(elem(key, 0))}, …}"
  defp term_name(_key), do: "a term"
end
