defmodule FlyDeployAgent.Reads do
  @moduledoc """
  What code reads by a name: tables, persistent terms, registries. Rows that are there stay as they are, so they are followed through
  the code that reads them, as states are (`FlyDeployAgent.Paths`).
  """

  alias FlyDeployAgent.{Shapes, Value}

  @type source :: {:table, atom} | {:registry, atom} | {:term, term} | {:terms, [Value.t()]}

  # Of a table or a registry: shapes that differ, and entries of a registry that is looked at.
  @shapes 4
  @entries 500
  @rows [:lookup, :take, :tab2list, :lookup_element, :update_counter, :update_element]
  @folds [:foldl, :foldr]
  @registered [:lookup, :dispatch, :values]

  @doc "What a call reads, nil for others."
  @spec source(mfa, [Value.t()]) :: source | nil
  def source({:ets, f, _}, [{:const, name} | _]) when f in @rows and is_atom(name), do: {:table, name}

  def source({:ets, f, 3}, [_fun, _acc, {:const, name}]) when f in @folds and is_atom(name),
    do: {:table, name}

  def source({Registry, f, _}, [{:const, name} | _]) when f in @registered and is_atom(name),
    do: {:registry, name}

  def source({:persistent_term, :get, _}, [{:const, key} | _]), do: {:term, key}

  # One of those whose keys begin so.
  def source({:persistent_term, :get, _}, [{:made, [{:const, first} | _] = key} | _]) when is_atom(first),
    do: {:terms, key}

  def source(_mfa, _arguments), do: nil

  @doc "Whether a function reads something."
  @spec reads?(mfa) :: boolean
  def reads?({module, f, _}),
    do:
      {module, f} == {:persistent_term, :get} or (module == :ets and f in (@rows ++ @folds)) or
        (module == Registry and f in @registered)

  @doc "The shapes of what is there: a table's rows, `{key, value}` of a registry, a term."
  @spec live(source) :: [Value.t()]
  def live({:table, name}),
    do: if(:ets.whereis(name) == :undefined, do: [], else: name |> Shapes.rows() |> shapes())

  def live({:registry, name}) do
    if :ets.whereis(name) != :undefined and Registry.count(name) <= @entries,
      do: name |> Registry.select([{{:"$1", :_, :"$2"}, [], [{{:"$1", :"$2"}}]}]) |> shapes(),
      else: []
  rescue
    _ -> []
  end

  def live({:term, key}) do
    case :persistent_term.get(key, __MODULE__) do
      __MODULE__ -> []
      term -> shapes([term])
    end
  end

  def live({:terms, key}) do
    for {found, term} <- :persistent_term.get(), like?(found, key) do
      term
    end
    |> shapes()
  end

  defp like?(found, key) when is_tuple(found) and tuple_size(found) == length(key),
    do: found |> Tuple.to_list() |> Enum.zip(key) |> Enum.all?(fn {term, part} -> part_like?(term, part) end)

  defp like?(_found, _key), do: false

  defp part_like?(term, {:const, part}), do: term === part
  defp part_like?(_term, _part), do: true

  defp shapes(terms),
    do: terms |> Enum.map(&Value.of/1) |> Enum.uniq_by(&Value.general/1) |> Enum.take(@shapes)

  @doc """
  What a call finds in a table whose name or number is held, or in a process' dictionary, see `FlyDeployAgent.Paths.follow/4`; nil where it
  reads something else, or rows that differ.
  """
  @spec held(mfa, [Value.t()], %{atom => Value.t()}) :: {:gives, Value.t()} | {:misses, term} | nil
  def held({module, :get, _}, [{:const, key} | _], kept)
      when module in [:erlang, Process] and is_map_key(kept, key),
      do: {:gives, kept[key]}

  def held({:ets, f, _} = mfa, [{kind, table} | rest] = arguments, _kept)
      when f in @rows and kind in [:atom, :table] do
    meant = for row <- rows(table), meant_by?(table, row, rest), do: row

    case Enum.uniq_by(meant, &Value.general/1) do
      [row] -> finds(mfa, arguments, row)
      _ -> nil
    end
  end

  def held(_mfa, _arguments, _kept), do: nil

  # They are asked for many times.
  defp rows(table) do
    case Process.get({__MODULE__, table}) do
      nil ->
        rows = if live?(table), do: table |> Shapes.rows() |> Enum.map(&Value.of/1), else: []
        Process.put({__MODULE__, table}, rows)
        rows

      rows ->
        rows
    end
  end

  defp live?(table), do: is_reference(table) or :ets.whereis(table) != :undefined

  defp meant_by?(table, {:tuple, values}, [key | _]), do: alike?(Enum.at(values, keypos(table) - 1), key)
  # Tables are read by keys, and a row that is too large to be looked at may have any; or as a whole.
  defp meant_by?(_table, _row, _key), do: true

  @doc "What a call finds there of this shape, see `FlyDeployAgent.Paths.follow/4`; nil for what reads something else."
  @spec found(source, Value.t(), mfa, [Value.t()]) :: {:gives, Value.t()} | {:misses, term} | nil
  def found(source, shape, mfa, arguments) do
    if source(mfa, arguments) == source and meant?(source, shape, arguments), do: finds(mfa, arguments, shape)
  end

  # Another key stands beside other things.
  defp meant?({kind, _}, _shape, _arguments) when kind in [:term, :terms], do: true

  defp meant?({:table, name}, {:tuple, values}, [_, key | _]),
    do: alike?(Enum.at(values, keypos(name) - 1), key)

  defp meant?({:registry, _}, {:tuple, [key, _]}, [_, other | _]), do: alike?(key, other)
  defp meant?(_source, _shape, _arguments), do: true

  defp alike?(live, key), do: key == :any or Value.same(live, key) != false

  defp keypos(table) do
    case :ets.info(table, :keypos) do
      n when is_integer(n) -> n
      _ -> 1
    end
  end

  defp finds({:persistent_term, _, _}, _arguments, value), do: {:gives, value}
  defp finds({Registry, :values, _}, _arguments, {:tuple, [_, value]}), do: {:gives, {:cons, value, :any}}

  defp finds({Registry, _, _}, _arguments, {:tuple, [_, value]}),
    do: {:gives, {:cons, {:tuple, [{:is, :pid}, value]}, :any}}

  defp finds({:ets, :lookup_element, _}, [_, _, {:const, n} | _], {:tuple, values}) when is_integer(n) do
    if n <= length(values),
      do: {:gives, Enum.at(values, n - 1)},
      else: {:misses, {{:arity, n, length(values)}, false}}
  end

  defp finds({:ets, f, _}, [{_, table}, _, operations | _], {:tuple, values})
       when f in [:update_counter, :update_element] do
    most = operations |> positions(table) |> Enum.max(fn -> 1 end)
    if most > length(values), do: {:misses, {{:arity, most, length(values)}, false}}
  end

  defp finds({:ets, f, _}, _arguments, row) when f in [:lookup, :take, :tab2list],
    do: {:gives, {:cons, row, :any}}

  defp finds(_mfa, _arguments, _shape), do: nil

  # The elements of a row that are written to: a number alone is added to what stands behind the key.
  defp positions({:const, n}, table) when is_integer(n), do: [keypos(table) + 1]

  defp positions(operations, table) do
    case Value.parts(operations) do
      {:tuple, [{:const, n} | _]} when is_integer(n) -> [n]
      {:cons, _, _} = all -> all |> Value.elements() |> elem(0) |> Enum.flat_map(&positions(&1, table))
      _ -> []
    end
  end
end
