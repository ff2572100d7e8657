defmodule FlyDeployAgent.Known do
  @moduledoc """
  What functions of Elixir and OTP give for arguments of which only shapes are known, see `FlyDeployAgent.Paths`: those that states
  are built and read with. `{:gives, value}`, `{:either, values}`, `{:misses, miss}`, `:raises` where the compiler has it raise that nothing fits, or `:ends`.
  """

  alias FlyDeployAgent.{Gives, Registers, Takes, Value}

  @assigning [Phoenix.Component, Phoenix.Socket]

  @doc "Whether a function puts a key into a socket's assigns. Its own code would tell less of that."
  @spec assigns?(mfa) :: boolean
  def assigns?({module, :assign, 3}), do: module in @assigning
  def assigns?(_mfa), do: false

  @doc "What is known of a call."
  @spec call(mfa, [Value.t()]) ::
          {:gives, Value.t()} | {:either, [Value.t()]} | {:misses, term} | :raises | :ends
  def call({:erlang, :error, _}, [{:made, [{:const, :badkey}, {:const, key}, map]} | _]),
    do: lacking(map, key)

  def call({:erlang, :error, _}, [{:made, [{:const, :badmap}, value]} | _]), do: no_map(value)

  def call({:erlang, :error, _}, [{:made, [{:const, kind} | _]} | _])
      when kind in [:with_clause, :else_clause, :try_clause],
      do: :raises

  def call({:erlang, :error, _}, [{:const, kind} | _]) when kind in [:cond_clause, :function_clause],
    do: :raises

  def call({:erlang, f, _}, _) when f in [:error, :exit, :throw, :raise, :nif_error], do: :ends
  # map.key, from Elixir 1.20 on: a module is called.
  def call({:elixir_erl_pass, :no_parens_remote, 2}, [{:const, none}, _key]) when none in [nil, true, false],
    do: :raises

  def call({:elixir_erl_pass, :no_parens_remote, 2}, [value, {:const, key}]),
    do: if(Value.type(value) in [nil, :atom], do: {:gives, :any}, else: lacking(value, key))

  def call({Map, :put, 3}, [map, key, value]), do: put(map, key, value)
  def call({:maps, :put, 3}, [key, value, map]), do: put(map, key, value)
  def call({Map, :put_new, 3}, [map, key, value]), do: put_new(map, key, value)
  def call({Map, :put_new_lazy, 3}, [map, key, _fun]), do: put_new(map, key, :any)
  def call({Map, :merge, 2}, [one, other]), do: merge(one, other)
  def call({:maps, :merge, 2}, [one, other]), do: merge(one, other)
  def call({Map, :get, 2}, [map, key]), do: get(map, key, {:const, nil})
  def call({Map, :get, 3}, [map, key, default]), do: get(map, key, default)
  def call({:maps, :get, 3}, [key, map, default]), do: get(map, key, default)
  def call({Access, :get, 2}, [{kind, _, _} = map, key]) when kind == :map, do: get(map, key, {:const, nil})

  def call({Access, :get, 2}, [{kind, _, _} = list, key]) when kind in [:cons, :list],
    do: option(list, key, {:const, nil})

  def call({Map, :fetch, 2}, [map, key]), do: found(map, key)
  def call({:maps, :find, 2}, [key, map]), do: found(map, key)
  def call({Map, :pop, 2}, [map, key]), do: pop(map, key, {:const, nil})
  def call({Map, :pop, 3}, [map, key, default]), do: pop(map, key, default)
  def call({Map, :fetch!, 2}, [map, key]), do: fetch(map, key)
  def call({:maps, :get, 2}, [key, map]), do: fetch(map, key)
  def call({Map, f, 3}, [map, key, _]) when f in [:update!, :replace!], do: exactly(map, key)
  def call({:maps, :update, 3}, [key, _value, map]), do: exactly(map, key)

  # put_in(state.key[…]) and the like.
  def call({Map, :get_and_update!, 3}, [map, key, _fun]) do
    case exactly(map, key) do
      {:gives, updated} -> {:gives, {:made, [:any, updated]}}
      other -> other
    end
  end

  def call({Map, :delete, 2}, [{:map, values, complete}, {:const, key}]),
    do: {:gives, {:map, Map.delete(values, key), complete}}

  def call({module, :assign, 3}, [socket, key, value]) when module in @assigning,
    do: assign(socket, key, value)

  def call({Supervisor, :child_spec, 2}, [{:map, values, complete}, {:const, opts}]) when is_list(opts),
    do:
      {:gives,
       {:map, Map.merge(values, Map.new(opts, fn {key, value} -> {key, {:const, value}} end)), complete}}

  def call({Supervisor, :child_spec, 2}, [child, opts]), do: spec(Value.parts(child), Value.parts(opts))

  # One with a name is called by it.
  def call({:ets, :new, 2}, [{:const, name}, options]) do
    {options, _all} = options |> Value.parts() |> Value.elements()
    {:gives, if({:const, :named_table} in options, do: {:const, name}, else: {:composed, :reference})}
  end

  # A name that is put together.
  def call({String, :to_atom, 1}, _arguments), do: {:gives, {:composed, :atom}}
  def call({:erlang, :binary_to_atom, _}, _arguments), do: {:gives, {:composed, :atom}}
  def call({Module, :concat, _}, _arguments), do: {:gives, {:composed, :atom}}

  def call({:erlang, :binary_to_term, _}, [{:packed, value} | _]), do: {:gives, value}
  def call({Keyword, :get, 2}, [list, key]), do: option(list, key, {:const, nil})
  def call({Keyword, :get, 3}, [list, key, default]), do: option(list, key, default)
  def call({Application, :get_env, 3}, [_app, _key, default]), do: {:gives, by_default(default)}
  def call({Keyword, :fetch!, 2}, [list, key]), do: option(list, key, :none)

  def call({Keyword, f, 3}, [list, {:const, key}, value]) when f in [:put_new, :put],
    do: {:gives, {:list, {:made, [{:const, key}, if(f == :put, do: value, else: by_default(value))]}, list}}

  def call({Keyword, f, 2}, [{:const, defaults}, options]) when f == :merge and is_list(defaults),
    do: {:gives, with_defaults(defaults, options)}

  def call({Keyword, f, 2}, [options, {:const, defaults}])
      when f in [:validate!, :validate] and is_list(defaults) do
    options = with_defaults(defaults, options)
    {:gives, if(f == :validate!, do: options, else: {:made, [{:const, :ok}, options]})}
  end

  def call({Map, :new, 1}, [{kind, _, _} = options]) when kind in [:cons, :list] do
    case keys(options) do
      {keys, _all} when keys == %{} -> {:gives, :any}
      {keys, all} -> {:gives, {:map, keys, all and :made}}
    end
  end

  # Fields that are not given are what the struct's module says.
  def call({Kernel, f, 2}, [{:const, module}, options]) when f in [:struct, :struct!] and is_atom(module),
    do: {:gives, {:map, options |> keys() |> elem(0) |> Map.put(:__struct__, {:const, module}), false}}

  def call(mfa, arguments) do
    case Takes.miss(mfa, arguments) do
      nil -> Gives.of(mfa, arguments) || {:gives, :any}
      miss -> {:misses, miss}
    end
  end

  # What a module's child_spec/1 makes of an argument, if it is the one that `use GenServer` brings, under other rules.
  defp spec({:tuple, [{:const, module}, argument]}, opts) when is_atom(module),
    do: started(module, {:cons, argument, {:const, []}}, opts)

  defp spec({:const, module}, opts) when is_atom(module),
    do: started(module, {:cons, {:const, []}, {:const, []}}, opts)

  defp spec(_child, _opts), do: {:gives, :any}

  defp started(module, arguments, opts) do
    {rules, _all} = Value.elements(opts)
    own = for {:tuple, [{:const, key}, value]} <- rules, into: %{}, do: {key, value}

    {:gives,
     {:map, Map.merge(%{start: {:tuple, [{:const, module}, {:const, :start_link}, arguments]}}, own), false}}
  end

  # In a list of options of which all are known.
  defp option(list, {:const, key}, default) do
    {options, all} = list |> Value.parts() |> Value.elements()
    known = for {:tuple, [{kind, name}, value]} <- options, kind in [:atom, :const], do: {name, value}

    cond do
      Value.type(list) not in [nil, :list] -> no_list(list)
      value = List.keyfind(known, key, 0) -> {:gives, elem(value, 1)}
      not all or length(known) < length(options) -> {:gives, by_default(default)}
      default != :none -> {:gives, default}
      miss = Registers.miss(list, {:key, key, nil}) -> {:misses, {elem(miss, 0), false}}
      true -> :ends
    end
  end

  defp option(_list, _key, _default), do: {:gives, :any}

  # Options that become keys of a map, or fields of a struct.
  defp keys(options) do
    {options, all} = options |> Value.parts() |> Value.elements()

    keys =
      for {:tuple, [{kind, key}, value]} when kind in [:atom, :const] and is_atom(key) <- options,
          do: {key, value}

    {Map.new(Enum.reverse(keys)), all and length(keys) == length(options)}
  end

  # Options of which all are known, or the defaults of others.
  defp with_defaults(defaults, options) do
    {known, all} = options |> Value.parts() |> Value.elements()
    given = for {:tuple, [{kind, name}, value]} <- known, kind in [:atom, :const], do: {name, value}
    sure? = all and length(given) == length(known)

    defaults
    |> Enum.reject(&(is_tuple(&1) and is_map_key(Map.new(given), elem(&1, 0))))
    |> Enum.reverse()
    |> Enum.reduce(options, fn
      {key, value}, rest ->
        {:list, {:made, [{:const, key}, if(sure?, do: {:const, value}, else: by_default({:const, value}))]},
         rest}

      _key, rest ->
        rest
    end)
  end

  defp by_default({:const, term}) when term != nil, do: {:default, term}
  defp by_default({:fun, {m, f, a}, []}), do: {:default, Function.capture(m, f, a)}
  defp by_default(_default), do: :any

  defp put({:map, values, complete}, {:const, key}, value),
    do: {:gives, {:map, Map.put(values, key, value), complete}}

  defp put({:const, map}, {:const, key}, value) when is_map(map),
    do: put(Value.map(map), {:const, key}, value)

  defp put({:map, values, _}, _key, _value), do: {:gives, {:map, values, false}}
  defp put(value, _key, _), do: of_map(value)

  defp put_new({:map, values, _} = map, {:const, key}, value),
    do: if(is_map_key(values, key), do: {:gives, map}, else: put(map, {:const, key}, value))

  defp put_new(map, key, _value), do: put(map, key, :any)

  # Another that is not known as a whole may have any of its keys.
  defp merge({:map, one, _}, {:map, other, false}),
    do:
      {:gives,
       {:map, one |> Map.new(fn {key, value} -> {key, by_default(value)} end) |> Map.merge(other), false}}

  defp merge({:map, one, a}, {:map, other, b}), do: {:gives, {:map, Map.merge(one, other), Value.both(a, b)}}
  defp merge({:const, one}, other) when is_map(one), do: merge(Value.map(one), other)
  defp merge(one, {:const, other}) when is_map(other), do: merge(one, Value.map(other))

  defp merge({:map, values, _}, _other),
    do: {:gives, {:map, Map.new(values, fn {key, value} -> {key, by_default(value)} end), false}}

  defp merge(_one, _other), do: {:gives, :any}

  defp get({:map, values, complete}, {:const, key}, default) do
    case values do
      %{^key => value} -> {:gives, value}
      _ -> {:gives, if(complete != false and is_atom(key), do: default, else: :any)}
    end
  end

  defp get({:map, _, _} = map, _key, default) do
    case Value.other(map) do
      {:tuple, [_, value]} -> {:either, [value, default]}
      nil -> {:gives, :any}
    end
  end

  defp get(value, _key, _default), do: of_map(value)

  defp found(map, key) do
    case get(map, key, :none) do
      {:gives, :any} -> {:gives, :any}
      {:gives, value} -> {:gives, found(value)}
      {:either, values} -> {:either, Enum.map(values, &found/1)}
      other -> other
    end
  end

  defp found(:none), do: {:const, :error}
  defp found(value), do: {:made, [{:const, :ok}, value]}

  # What is left may lack any of them.
  defp pop(map, key, default) do
    left = if match?({:map, _, _}, map), do: put_elem(map, 2, false), else: :any

    case get(map, key, default) do
      {:gives, value} -> {:gives, {:made, [value, left]}}
      {:either, values} -> {:either, for(value <- values, do: {:made, [value, left]})}
      other -> other
    end
  end

  defp fetch({:map, values, _} = map, {:const, key}) do
    case lacks(map, key) do
      nil -> {:gives, Map.get(values, key, :any)}
      miss -> {:misses, miss}
    end
  end

  defp fetch(value, _key), do: of_map(value)

  defp exactly({:map, values, complete} = map, {:const, key}) do
    case lacks(map, key) do
      nil -> {:gives, {:map, Map.put(values, key, :any), complete}}
      miss -> {:misses, miss}
    end
  end

  defp exactly(value, _key), do: of_map(value)

  defp lacks(map, key) when is_atom(key), do: Registers.missing(map, [{{:atom, key}, nil}], %{})
  defp lacks(_map, _key), do: nil

  defp of_map(value), do: if(Value.type(value) in [nil, :map], do: {:gives, :any}, else: no_map(value))

  defp lacking(map, key) do
    case lacks(map, key) do
      nil -> no_map(map)
      miss -> {:misses, miss}
    end
  end

  defp no_map(value) do
    case Value.type(value) not in [nil, :map] && Registers.miss(value, {:type, :map}) do
      {_, _} = miss -> {:misses, miss}
      _ -> :ends
    end
  end

  defp no_list(value) do
    case Registers.miss(value, {:type, :list}) do
      {_, _} = miss -> {:misses, miss}
      _ -> :ends
    end
  end

  # In a socket, and in a component's assigns.
  defp assign({:map, %{assigns: {:map, assigns, complete}} = values, whole}, {:const, key}, value),
    do: {:gives, {:map, %{values | assigns: {:map, Map.put(assigns, key, value), complete}}, whole}}

  defp assign({:map, %{assigns: _} = values, whole}, _key, _value),
    do: {:gives, {:map, %{values | assigns: :any}, whole}}

  defp assign(_socket, _key, _value), do: {:gives, :any}
end
