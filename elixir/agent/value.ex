defmodule FlyDeployAgent.Value do
  @moduledoc """
  What is known of a value, where code is followed without running it (`FlyDeployAgent.Paths`): its shape, with atoms, but no texts and
  no numbers.

    * `:any` – nothing; `{:is, type}` – only its type
    * `{:atom, a}` – an atom that lives, which may be another one at another time; `{:name, a}` – the name of a struct that lives;
      `{:const, term}` – a constant of the code; `{:tag, a}` – what a message begins with
    * `{:tuple, values}`, `{:cons, head, tail}`, `:empty` – the empty list that lives; `{:made, values}`, `{:list, head, tail}` – a tuple and
      a list that the code makes, or a message is
    * `{:map, values, complete}` – by key; other keys it has not, where it is complete; `:made` where the code
      has made it, and it is. Under `{:other}` stands one of those whose keys are no atoms, as a tuple of both
    * `{:atomics, n}` – an array of `n` counters; `{:table, id}` – a table without a name
    * `{:fun, mfa, free}` – a function of the module, with what it has closed over; `{:callable, n}` – one that lives, of n arguments
    * `{:packed, value}` – a text that lives, into which a term was put as `:erlang.term_to_binary/1` does
    * `{:default, term}` – not known, and that term if nothing else was said
    * `{:composed, type}` – what the code puts together of parts
    * `{:begins, text}` – a text that the code puts together, and how it begins
    * `{:text, text}` – a message that is this text; `{:rest, text, bits}` – such a one, of which that many bits were matched
  """

  @type t :: :any | :empty | tuple

  @depth 7
  @nodes 400
  @keys 64
  # A list of options is looked at as a whole.
  @options 32
  @other {:other}
  # Bytes of a text that is looked into for a term.
  @packed 1_024

  @doc "The shape of a term that lives, of a limited number of its nodes."
  @spec of(term) :: t
  def of(term), do: term |> of(@depth, @nodes) |> elem(0)

  defp of(_term, 0, left), do: {:any, left}
  defp of(_term, _depth, left) when left <= 0, do: {:any, left}
  defp of(atom, _depth, left) when is_atom(atom), do: {{:atom, atom}, left - 1}
  defp of([], _depth, left), do: {:empty, left - 1}

  defp of([head | tail] = list, depth, left) do
    {head, left} = of(head, depth - 1, left - 1)

    if options?(list, @options, []) do
      {tail, left} = of(tail, depth, left)
      {{:cons, head, tail}, left}
    else
      {{:cons, head, :any}, left}
    end
  end

  defp of(%{} = map, depth, left) do
    {values, iterator, left} = map |> :maps.iterator() |> :maps.next() |> values(%{}, @keys, depth, left - 1)
    values = if is_struct(map), do: Map.put(values, :__struct__, {:name, map.__struct__}), else: values
    {{:map, values, iterator == :none}, left}
  end

  defp of(tuple, depth, left) when is_tuple(tuple) and tuple_size(tuple) <= @keys do
    {values, left} = tuple |> Tuple.to_list() |> Enum.map_reduce(left - 1, &of(&1, depth - 1, &2))
    {{:tuple, values}, left}
  end

  # Not one that is compressed, which may be of any size.
  defp of(<<131, tag, _::binary>> = packed, depth, left) when byte_size(packed) <= @packed and tag != 80 do
    {value, left} = packed |> :erlang.binary_to_term([:safe]) |> of(depth, left - 1)
    {{:packed, value}, left}
  rescue
    ArgumentError -> {{:is, :binary}, left - 1}
  end

  defp of(term, _depth, left), do: {kind(term), left - 1}

  # Every key once: other lists of such tuples are as long as it happens.
  defp options?([], _left, _keys), do: true

  defp options?([{key, _} | rest], left, keys) when is_atom(key) and left > 0,
    do: key not in keys and options?(rest, left - 1, [key | keys])

  defp options?(_list, _left, _keys), do: false

  defp kind(term) when is_integer(term), do: {:is, :integer}
  defp kind(term) when is_float(term), do: {:is, :float}
  defp kind(term) when is_binary(term), do: {:is, :binary}
  defp kind(term) when is_pid(term), do: {:is, :pid}
  defp kind(term) when is_reference(term), do: counters(term) || table(term) || {:is, :reference}
  defp kind(term) when is_port(term), do: {:is, :port}
  defp kind(term) when is_function(term), do: {:callable, term |> Function.info(:arity) |> elem(1)}
  defp kind(_term), do: :any

  defp counters(reference) do
    {:atomics, :atomics.info(reference).size}
  rescue
    ArgumentError -> nil
  end

  defp table(reference) do
    if :ets.info(reference, :type) != :undefined, do: {:table, reference}
  rescue
    ArgumentError -> nil
  end

  # Only atoms are keys that code names; a map of others may have any, of which one stands for all.
  defp values({key, value, iterator}, values, keys, depth, left)
       when is_atom(key) and keys > 0 and left > 0 do
    {value, left} = of(value, depth - 1, left)
    iterator |> :maps.next() |> values(Map.put(values, key, value), keys - 1, depth, left)
  end

  defp values({key, value, iterator}, values, keys, depth, left) when not is_atom(key) and keys > 0 do
    {values, left} =
      if is_map_key(values, @other) or left <= 0 do
        {values, left}
      else
        {pair, left} = of({key, value}, depth, left)
        {Map.put(values, @other, pair), left}
      end

    iterator |> :maps.next() |> values(values, keys - 1, depth, left)
  end

  defp values(iterator, values, _keys, _depth, left), do: {values, iterator, left}

  @doc "The same without atoms, which are other ones at other times."
  @spec general(t) :: t
  def general({:atom, _}), do: :any
  def general({:table, _}), do: {:is, :reference}
  def general({:packed, value}), do: {:packed, general(value)}
  def general({:tuple, values}), do: {:tuple, Enum.map(values, &general/1)}
  def general({:cons, head, tail}), do: {:cons, general(head), general(tail)}

  def general({:map, values, complete}),
    do: {:map, Map.new(values, fn {key, value} -> {key, general(value)} end), complete}

  def general(value), do: value

  @doc "Whether it lives: what the code and a message bring does not."
  @spec lives?(t) :: boolean
  def lives?({kind, _}), do: kind in [:atom, :name, :is, :tuple, :atomics, :table, :callable, :packed]
  def lives?({:map, _, complete}), do: complete != :made
  def lives?({kind, _, _}), do: kind == :cons
  def lives?(value), do: value == :empty

  @doc "Whether it may well be something else at another time, as nil, an empty list and a state's name."
  @spec passing?(t) :: boolean
  def passing?({kind, _}), do: kind in [:atom, :is, :callable, :packed]
  def passing?({:cons, _, _}), do: true
  def passing?(value), do: value == :empty

  @doc "Its type, nil where nothing is known."
  @spec type(t) :: atom
  def type(:any), do: nil
  def type(:empty), do: :list
  def type({kind, _}) when kind in [:atom, :name, :tag], do: :atom
  def type({kind, type}) when kind in [:is, :composed], do: type
  def type({kind, _}) when kind in [:atomics, :table], do: :reference
  def type({:const, term}), do: constant(term)
  def type({kind, _}) when kind in [:tuple, :made], do: :tuple
  def type({kind, _, _}) when kind in [:cons, :list], do: :list
  def type({:map, _, _}), do: :map
  def type({:fun, _, _}), do: :function
  def type({:callable, _}), do: :function
  def type({kind, _}) when kind in [:text, :begins, :packed], do: :binary
  def type(_), do: nil

  defp constant(term) when is_atom(term), do: :atom
  defp constant(term) when is_integer(term), do: :integer
  defp constant(term) when is_float(term), do: :float
  defp constant(term) when is_list(term), do: :list
  defp constant(term) when is_tuple(term), do: :tuple
  defp constant(term) when is_map(term), do: :map
  defp constant(term) when is_binary(term), do: :binary
  defp constant(_term), do: nil

  @doc "Whether two are the same: true, false, or `:unknown`."
  @spec same(t, t) :: boolean | :unknown
  def same({one, a}, {other, b})
      when one in [:atom, :name, :tag, :const] and other in [:atom, :name, :tag, :const],
      do: a === b

  def same({:text, a}, {:const, b}), do: a === b
  def same({:const, b}, {:text, a}), do: a === b

  def same({kind, values}, {:const, term}) when kind in [:tuple, :made] and is_tuple(term),
    do: same(values, Tuple.to_list(term), true)

  def same({:const, term}, {kind, _} = tuple) when kind in [:tuple, :made] and is_tuple(term),
    do: same(tuple, {:const, term})

  def same(:empty, {:const, []}), do: true
  def same({:const, []}, :empty), do: true
  def same({kind, _, _}, {:const, []}) when kind in [:cons, :list], do: false
  def same({:const, []}, {kind, _, _}) when kind in [:cons, :list], do: false

  def same(one, other) do
    case {type(one), type(other)} do
      {nil, _} -> :unknown
      {_, nil} -> :unknown
      {same, same} -> :unknown
      _ -> false
    end
  end

  defp same([], [], known), do: known

  defp same([value | values], [term | terms], known) do
    case same(value, {:const, term}) do
      false -> false
      true -> same(values, terms, known)
      :unknown -> same(values, terms, :unknown)
    end
  end

  defp same(_values, _terms, _known), do: false

  @doc "A map of the code's as one of values."
  @spec map(map) :: t
  def map(map), do: {:map, :maps.map(fn _key, value -> {:const, value} end, map), :made}

  @doc "Whether what two maps make together has no other keys."
  @spec both(boolean | :made, boolean | :made) :: boolean | :made
  def both(false, _other), do: false
  def both(_one, false), do: false
  def both(:made, :made), do: :made
  def both(_one, _other), do: true

  @doc "What the code has made as a state that lives."
  @spec live(t) :: t
  def live(value), do: parts(value)

  @doc "The same with constants taken apart."
  @spec parts(t) :: t
  def parts({:const, term}) when is_tuple(term),
    do: {:tuple, term |> Tuple.to_list() |> Enum.map(&parts({:const, &1}))}

  def parts({:const, [head | tail]}), do: {:cons, parts({:const, head}), parts({:const, tail})}

  def parts({:const, %{} = map}),
    do: {:map, :maps.map(fn _key, value -> parts({:const, value}) end, map), true}

  # &Module.function/1
  def parts({:const, fun}) when is_function(fun) do
    info = Function.info(fun)

    if info[:type] == :external,
      do: {:fun, {info[:module], info[:name], info[:arity]}, []},
      else: {:const, fun}
  end

  def parts({kind, values}) when kind in [:tuple, :made], do: {:tuple, Enum.map(values, &parts/1)}
  def parts({kind, head, tail}) when kind in [:cons, :list], do: {:cons, parts(head), parts(tail)}

  def parts({:map, values, complete}),
    do: {:map, Map.new(values, fn {key, value} -> {key, parts(value)} end), complete != false}

  def parts(value), do: value

  @doc "What lives, and stays as it is: what a supervisor was started with."
  @spec fixed(t) :: t
  def fixed({:atom, atom}), do: {:const, atom}
  def fixed(:empty), do: {:const, []}
  def fixed({:tuple, values}), do: {:tuple, Enum.map(values, &fixed/1)}
  def fixed({:cons, head, tail}), do: {:cons, fixed(head), fixed(tail)}

  def fixed({:map, values, complete}),
    do: {:map, Map.new(values, fn {key, value} -> {key, fixed(value)} end), complete}

  def fixed(value), do: value

  @doc "The atoms that live in a value."
  @spec atoms(t) :: [atom]
  def atoms({kind, atom}) when kind in [:atom, :name], do: [atom]
  def atoms({:tuple, values}), do: Enum.flat_map(values, &atoms/1)
  def atoms({:cons, head, tail}), do: atoms(head) ++ atoms(tail)
  def atoms({:map, values, _}), do: values |> Map.values() |> Enum.flat_map(&atoms/1)
  def atoms(_value), do: []

  @doc "One of the pairs that a map has whose keys are no atoms, `{:tuple, [key, value]}`, by its values; nil where it has none."
  @spec others(map) :: t | nil
  def others(values), do: values[@other]

  @doc "What a map has under a key that is no atom, `{:tuple, [key, value]}`, nil where it has none."
  @spec other(t) :: t | nil
  def other({:map, %{@other => other}, _}), do: other

  # Of one whose keys are atoms, and whose values are all alike, any of them.
  def other({:map, values, true}) when map_size(values) > 0 and not is_map_key(values, :__struct__) do
    case values |> Map.values() |> Enum.map(&general/1) |> Enum.uniq() do
      [value] when value != :any -> {:tuple, [:any, value]}
      _ -> nil
    end
  end

  def other(_value), do: nil

  @doc "Whether two values, taken apart, may be the same: what is not known is like everything."
  @spec like?(t, t) :: boolean
  def like?(:any, _other), do: true
  def like?(_one, :any), do: true
  def like?({:default, _}, _other), do: true
  def like?(_one, {:default, _}), do: true
  def like?({:begins, a}, {:begins, b}), do: String.starts_with?(a, b) or String.starts_with?(b, a)
  def like?({:begins, a}, {:const, b}) when is_binary(b), do: String.starts_with?(b, a)
  def like?({:const, a}, {:begins, b}) when is_binary(a), do: String.starts_with?(a, b)
  def like?({:begins, _}, other), do: type(other) == :binary
  def like?(one, {:begins, _}), do: type(one) == :binary
  def like?({:tuple, a}, {:tuple, b}), do: length(a) == length(b) and all_like?(a, b)
  def like?({:cons, a, rest}, {:cons, b, other}), do: like?(a, b) and like?(rest, other)

  def like?({:map, a, _}, {:map, b, _}),
    do: Map.keys(a) == Map.keys(b) and all_like?(Map.values(a), Map.values(b))

  def like?({:fun, _, _}, {:fun, _, _}), do: true
  def like?(one, other), do: one == other

  defp all_like?(a, b), do: [a, b] |> Enum.zip() |> Enum.all?(fn {one, other} -> like?(one, other) end)

  @doc "The elements of a list as far as they are known, and whether these are all."
  @spec elements(t) :: {[t], boolean}
  def elements({:cons, head, tail}) do
    {elements, all} = elements(tail)
    {[head | elements], all}
  end

  def elements({:const, []}), do: {[], true}
  def elements(:empty), do: {[], true}
  def elements(_value), do: {[], false}
end
