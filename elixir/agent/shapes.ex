defmodule FlyDeployAgent.Shapes do
  @moduledoc """
  Who holds structs of a shape that the new code does not know: processes, tables, persistent terms. A process looks at its
  own state, of which nothing is copied; at most so many terms of it, and only their keys.
  """

  alias FlyDeployAgent.{Processes, Release, Rounds}

  # The fields that each struct is to have.
  @type wanted :: %{module => [atom]}

  # Terms of a state that are looked at, each microseconds at most.
  @terms 3_000
  # Processes that are asked: of all, and at a time.
  @asked 20_000
  @batch 200
  @answer_ms 250
  # Rows of a table, and tables whose rows are small enough to be copied, in bytes.
  @rows 50
  @row_bytes 4_096
  # Where a server waits for its next message.
  @waiting [{:gen_server, :loop}, {:gen_statem, :loop_receive}, {:gen_statem, :loop}]

  @doc "The structs within `term` that lack a wanted field, `[{module, fields it lacks}]`."
  @spec lacking(term, wanted) :: [{module, [atom]}]
  def lacking(term, wanted) do
    {found, _left} = walk([term], wanted, @terms, [])
    Enum.uniq(found)
  end

  defp walk([], _wanted, left, found), do: {found, left}
  defp walk(_terms, _wanted, 0, found), do: {found, 0}

  defp walk([%{__struct__: module} = struct | rest], wanted, left, found) when is_map_key(wanted, module) do
    found =
      case Enum.reject(wanted[module], &is_map_key(struct, &1)) do
        [] -> found
        fields -> [{module, fields} | found]
      end

    walk(parts(struct, left, rest), wanted, left - 1, found)
  end

  defp walk([term | rest], wanted, left, found), do: walk(parts(term, left, rest), wanted, left - 1, found)

  # Breadth is bounded as well: a map of a million keys is not turned into a list.
  defp parts(%{} = map, left, rest), do: map |> :maps.iterator() |> :maps.next() |> values(left, rest)
  defp parts([head | tail], _left, rest), do: [head, tail | rest]

  defp parts(tuple, left, rest) when is_tuple(tuple) and tuple_size(tuple) <= left,
    do: Tuple.to_list(tuple) ++ rest

  defp parts(_term, _left, rest), do: rest

  defp values({_key, value, iterator}, left, rest) when left > 0,
    do: [value | values(:maps.next(iterator), left - 1, rest)]

  defp values(_end, _left, rest), do: rest

  @doc """
  The holders of structs that lack wanted fields, `[%{holder, struct, fields, pid}]`: the callback module of a process, a table or a
  persistent term's key. Targets are asked, and other servers where they wait for a message.
  """
  @spec holders(wanted, targets :: [map], own :: [pid]) :: [map]
  def holders(wanted, targets, own) do
    modules = for %{pid: pid, kind: kind, module: module} <- targets, kind != :gen_event, do: {pid, module}
    known = MapSet.new(own ++ Enum.map(targets, & &1.pid))
    others = for pid <- Process.list(), pid not in known, module = server(pid), do: {pid, module}

    (modules ++ others)
    |> Enum.take(@asked)
    |> Enum.chunk_every(@batch)
    |> Enum.flat_map(&ask(&1, wanted))
    |> Enum.concat(tables(wanted) ++ terms(wanted))
  end

  defp ask(batch, wanted) do
    modules = Map.new(batch)
    told = Rounds.inside(for({pid, _} <- batch, do: {pid, &lacking(&1, wanted)}), @answer_ms)

    for {pid, found} <- told, {struct, fields} <- found do
      %{holder: modules[pid], struct: struct, fields: fields, pid: pid}
    end
  end

  # nil for one that is busy, that hibernates, or that belongs to OTP.
  defp server(pid) do
    with {:current_function, {module, function, _}} when {module, function} in @waiting <-
           Process.info(pid, :current_function),
         {module, _, _} when module != :supervisor <- Processes.initial_call(pid),
         false <- otp?(module) do
      module
    else
      _ -> nil
    end
  end

  defp otp?(module) do
    case :application.get_application(module) do
      {:ok, app} -> Release.origin(app) == :otp
      :undefined -> false
    end
  end

  defp tables(wanted) do
    for table <- :ets.all(),
        small?(table),
        row <- rows(table),
        {struct, fields} <- lacking(row, wanted),
        uniq: true,
        do: %{holder: {:table, :ets.info(table, :name)}, struct: struct, fields: fields, pid: nil}
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

  defp rows(table) do
    case :ets.match_object(table, :_, @rows) do
      {rows, _continuation} -> rows
      :"$end_of_table" -> []
    end
  rescue
    # It has gone meanwhile.
    ArgumentError -> []
  end

  # They are not copied.
  defp terms(wanted) do
    for {key, value} <- :persistent_term.get(),
        {struct, fields} <- lacking(value, wanted),
        uniq: true,
        do: %{holder: {:term, term_name(key)}, struct: struct, fields: fields, pid: nil}
  end

  defp term_name(key) when is_atom(key), do: inspect(key)
  defp term_name(key) when is_tuple(key) and is_atom(elem(key, 0)), do: "{#{inspect(elem(key, 0))}, …}"
  defp term_name(_key), do: "a term"
end
