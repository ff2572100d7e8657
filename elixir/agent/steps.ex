defmodule FlyDeployAgent.Steps do
  @moduledoc """
  What one instruction does to registers of which only shapes are known, see `FlyDeployAgent.Paths`: `{:next, registers}`;
  `{:goto, label, miss}`, a test that fails, with what it demanded of something living; `{:either, label}` and `{:any_of, labels}`, where
  it is not known; `{:error, miss}`; or a call, a return and the like.
  """

  import FlyDeployAgent.Bifs
  import FlyDeployAgent.Decisions
  import FlyDeployAgent.Registers

  alias FlyDeployAgent.{Binaries, Value}

  # What a test of a type takes.
  @types %{
    is_integer: [:integer],
    is_float: [:float],
    is_number: [:integer, :float],
    is_atom: [:atom],
    is_pid: [:pid],
    is_reference: [:reference],
    is_port: [:port],
    is_binary: [:binary],
    is_bitstr: [:binary],
    is_list: [:list],
    is_map: [:map],
    is_tuple: [:tuple],
    is_function: [:function],
    is_function2: [:function]
  }
  @between [
    :label,
    :test_heap,
    :allocate,
    :allocate_heap,
    :init_yregs,
    :init,
    :kill,
    :bs_init_writable,
    :recv_marker_bind,
    :recv_marker_clear,
    :recv_marker_reserve,
    :nif_start,
    :timeout,
    :fadd,
    :fsub,
    :fmul,
    :fdiv,
    :fnegate,
    :fclearerror,
    :fcheckerror
  ]

  @doc "One step. An instruction that is not known ends its way."
  @spec step(tuple, map) :: term
  def step(op, regs) when elem(op, 0) in @between, do: {:next, regs}
  def step({:move, from, to}, regs), do: put(regs, to, value(from, regs))
  def step({:fmove, _from, to}, regs), do: put(regs, to, :any)
  def step({:fconv, _from, to}, regs), do: put(regs, to, :any)
  def step({:swap, a, b}, regs), do: {:next, Map.merge(regs, %{a => value(b, regs), b => value(a, regs)})}
  def step({:jump, label}, _regs), do: {:goto, label, nil}
  def step({:deallocate, _}, regs), do: {:next, regs}
  def step({:trim, {:u, n}, _}, regs), do: {:next, trimmed(regs, n)}
  def step({:return}, _regs), do: :return

  # -- tests

  def step({name, no, from}, regs) when is_map_key(@types, name),
    do: typed(value(from, regs), @types[name], no)

  def step({:is_function2, no, from, {:integer, n}}, regs) do
    case value(from, regs) do
      {:callable, arity} -> decide(n == arity, no, :any, nil)
      value -> typed(value, [:function], no)
    end
  end

  def step({:is_function2, no, from, _arity}, regs), do: typed(value(from, regs), [:function], no)
  def step({:is_boolean, no, from}, regs), do: boolean(value(from, regs), no)

  def step({:is_nil, no, from}, regs),
    do: decide(Value.same(value(from, regs), {:const, []}), no, value(from, regs), {:value, []})

  def step({:is_nonempty_list, no, from}, regs) do
    case value(from, regs) do
      {kind, _, _} when kind in [:cons, :list] -> {:next, regs}
      {:const, [_ | _]} -> {:next, regs}
      {:is, :list} -> {:either, no}
      value -> decide(if(Value.type(value), do: false, else: :unknown), no, value, {:type, :list})
    end
  end

  def step({:test_arity, no, from, {:u, n}}, regs), do: arity(value(from, regs), n, no)

  def step({:is_tagged_tuple, no, from, {:u, n}, tag}, regs) do
    case value(from, regs) do
      {kind, [first | _] = values} when kind in [:tuple, :made] and length(values) == n ->
        decide(Value.same(first, value(tag, regs)), no, first, demanded(tag))

      {kind, _} = tuple when kind in [:tuple, :made] ->
        arity(tuple, n, no)

      {:const, tuple} when is_tuple(tuple) and tuple_size(tuple) == n ->
        decide({:const, elem(tuple, 0)} == value(tag, regs), no, :any, nil)

      value ->
        decide(if(Value.type(value), do: false, else: :unknown), no, value, {:type, :tuple})
    end
  end

  def step({:is_eq_exact, no, one, other}, regs), do: equal(one, other, no, regs)
  def step({:is_eq, no, one, other}, regs), do: equal(one, other, no, regs)

  def step({name, no, one, other}, regs) when name in [:is_ne_exact, :is_ne] do
    case Value.same(value(one, regs), value(other, regs)) do
      true -> {:goto, no, nil}
      false -> {:next, regs}
      :unknown -> {:either, no}
    end
  end

  # A number, as what is compared is, comes before nil.
  def step({name, no, one, other}, regs) when name in [:is_lt, :is_ge] do
    case {value(one, regs), value(other, regs)} do
      {{:const, nil}, {:const, nil}} -> {:either, no}
      {{:const, nil}, _} -> if name == :is_ge, do: {:next, regs}, else: {:goto, no, nil}
      {_, {:const, nil}} -> if name == :is_lt, do: {:next, regs}, else: {:goto, no, nil}
      _ -> {:either, no}
    end
  end

  def step({:select_val, from, no, {:list, cases}}, regs) do
    value = value(from, regs)

    case chosen(cases, value) do
      :unknown -> {:any_of, [no | choices(cases)]}
      nil -> {:goto, no, miss(value, {:value, nil})}
      label -> {:goto, label, nil}
    end
  end

  def step({:select_tuple_arity, from, no, {:list, cases}}, regs) do
    case value(from, regs) do
      {kind, values} = value when kind in [:tuple, :made] ->
        chosen_arity(cases, length(values), value, no)

      {:const, tuple} when is_tuple(tuple) ->
        chosen_arity(cases, tuple_size(tuple), :any, no)

      value ->
        if Value.type(value),
          do: {:goto, no, miss(value, {:type, :tuple})},
          else: {:any_of, [no | choices(cases)]}
    end
  end

  def step({:has_map_fields, no, from, {:list, keys}}, regs),
    do: keys(value(from, regs), Enum.map(keys, &{&1, nil}), no, regs)

  def step({:get_map_elements, no, from, {:list, pairs}}, regs),
    do: keys(value(from, regs), pairs(pairs), no, regs)

  # -- taking apart, and putting together

  def step({:get_tuple_element, from, {:u, n}, to}, regs) do
    case value(from, regs) do
      {kind, values} when kind in [:tuple, :made] ->
        put(regs, to, Enum.at(values, n, :any))

      {:const, tuple} when is_tuple(tuple) and tuple_size(tuple) > n ->
        put(regs, to, {:const, elem(tuple, n)})

      _ ->
        put(regs, to, :any)
    end
  end

  def step({:get_list, from, head, tail}, regs) do
    {h, t} = list(value(from, regs))
    {:next, regs |> Map.put(head, h) |> Map.put(tail, t)}
  end

  def step({:get_hd, from, to}, regs), do: put(regs, to, from |> value(regs) |> list() |> elem(0))
  def step({:get_tl, from, to}, regs), do: put(regs, to, from |> value(regs) |> list() |> elem(1))

  def step({:put_list, head, tail, to}, regs),
    do: put(regs, to, {:list, value(head, regs), value(tail, regs)})

  def step({:put_tuple2, to, {:list, values}}, regs),
    do: put(regs, to, {:made, Enum.map(values, &value(&1, regs))})

  def step({:set_tuple_element, _, _, _}, regs), do: {:next, regs}

  def step({:update_record, _hint, {:u, _}, from, to, {:list, updates}}, regs),
    do: put(regs, to, record(value(from, regs), updates, regs))

  def step({:put_map_assoc, _, from, to, _, {:list, pairs}}, regs),
    do: put(regs, to, assoc(value(from, regs), pairs(pairs), regs))

  def step({:put_map_exact, _, from, to, _, {:list, pairs}}, regs) do
    map = value(from, regs)

    case missing(map, pairs(pairs), regs) do
      nil -> put(regs, to, assoc(map, pairs(pairs), regs))
      miss -> {:error, miss}
    end
  end

  def step({:make_fun, name}, _regs), do: {:fun, name, [], nil}
  def step({:make_fun, name, to, {:list, free}}, _regs), do: {:fun, name, free, to}

  # -- guards and arithmetic

  def step({:bif0, {:extfunc, :erlang, :self, 0}, to}, regs), do: put(regs, to, {:composed, :pid})
  def step({:bif0, _bif, to}, regs), do: put(regs, to, :any)
  def step({:bif1, fail, {:extfunc, _, f, _}, a, to}, regs), do: bif(f, [a], fail, to, regs)
  def step({:bif2, fail, {:extfunc, _, f, _}, a, b, to}, regs), do: bif(f, [a, b], fail, to, regs)
  def step({:gc_bif1, fail, _, {:extfunc, _, f, _}, a, to}, regs), do: bif(f, [a], fail, to, regs)
  def step({:gc_bif2, fail, _, {:extfunc, _, f, _}, a, b, to}, regs), do: bif(f, [a, b], fail, to, regs)
  def step({:gc_bif3, fail, _, {:extfunc, _, f, _}, a, b, c, to}, regs), do: bif(f, [a, b, c], fail, to, regs)

  # -- calls and errors

  def step({name, {:u, arity}, {:extfunc, m, f, _}}, _regs) when name in [:call_ext, :call_ext_only],
    do: {:call, {m, f, arity}, arity, if(name == :call_ext, do: :stay, else: :last)}

  def step({:call_ext_last, {:u, arity}, {:extfunc, m, f, _}, _}, _regs),
    do: {:call, {m, f, arity}, arity, :last}

  def step({:call, {:u, arity}, mfa}, _regs), do: {:call, mfa, arity, :stay}
  def step({:call_only, {:u, arity}, mfa}, _regs), do: {:call, mfa, arity, :last}
  def step({:call_last, {:u, arity}, mfa, _}, _regs), do: {:call, mfa, arity, :last}
  def step({:call_fun, {:u, arity}}, _regs), do: {:call_fun, arity, :stay, {:x, arity}}
  def step({:call_fun2, _tag, {:u, arity}, fun}, _regs), do: {:call_fun, arity, :stay, fun}
  def step({:apply, {:u, arity}}, regs), do: applied(arity, :stay, regs)
  def step({:apply_last, {:u, arity}, _}, regs), do: applied(arity, :last, regs)
  def step({:badmatch, _}, _regs), do: {:error, nil}
  def step({:case_end, _}, _regs), do: {:error, nil}
  def step({:if_end}, _regs), do: {:error, nil}
  def step({:badrecord, _}, _regs), do: {:error, nil}
  def step({:func_info, _, _, _}, _regs), do: {:error, nil}
  def step({:try_case_end, _}, _regs), do: :stop
  def step({:raise, _, _}, _regs), do: :stop
  def step({name, to, label}, regs) when name in [:try, :catch], do: {:trying, label, Map.put(regs, to, :any)}
  def step({name, _}, _regs) when name in [:try_end, :catch_end], do: :tried

  def step({:try_case, _}, regs),
    do: {:next, Map.merge(regs, %{{:x, 0} => :any, {:x, 1} => :any, {:x, 2} => :any})}

  def step({:build_stacktrace}, regs), do: put(regs, {:x, 0}, :any)
  def step({:loop_rec, _label, to}, regs), do: put(regs, to, :any)
  def step({:remove_message}, regs), do: {:next, regs}
  def step({:send}, _regs), do: {:call, {:erlang, :!, 2}, 2, :stay}

  def step(op, regs), do: Binaries.step(op, regs) || :stop

  # Module and function stand behind the arguments.
  defp applied(arity, kind, regs) do
    case {value({:x, arity}, regs), value({:x, arity + 1}, regs)} do
      {{one, module}, {other, name}}
      when one in [:atom, :const, :name] and other in [:atom, :const] and is_atom(module) and is_atom(name) ->
        {:apply, {module, name, arity}, arity, kind}

      _ ->
        {:call_fun, 0, kind, nil}
    end
  end

  @doc "Where each label of a function leads."
  @spec labels([tuple]) :: %{non_neg_integer => [tuple]}
  def labels(code), do: labels(code, %{})

  defp labels([], found), do: found
  defp labels([{:label, n} | rest], found), do: labels(rest, Map.put(found, n, rest))
  defp labels([_ | rest], found), do: labels(rest, found)

  defp trimmed(regs, n) do
    for {register, value} <- regs, moved = moved(register, n), into: %{}, do: {moved, value}
  end

  defp moved({:y, m}, n) when m < n, do: nil
  defp moved({:y, m}, n), do: {:y, m - n}
  defp moved(register, _n), do: register

  defp record({kind, values}, [{:u, n}, operand | rest], regs) when kind in [:tuple, :made],
    do: record({kind, List.replace_at(values, n - 1, value(operand, regs))}, rest, regs)

  defp record({kind, _} = tuple, [{:integer, n} | rest], regs) when kind in [:tuple, :made],
    do: record(tuple, [{:u, n} | rest], regs)

  defp record({kind, _} = tuple, [], _regs) when kind in [:tuple, :made], do: tuple
  defp record(_value, _updates, _regs), do: :any

  defp assoc({:map, values, complete}, pairs, regs) do
    Enum.reduce(pairs, {:map, values, complete}, fn {operand, new}, {:map, values, complete} ->
      case value(operand, regs) do
        {:const, key} -> {:map, Map.put(values, key, value(new, regs)), complete}
        _ -> {:map, values, false}
      end
    end)
  end

  defp assoc({:const, map}, pairs, regs) when is_map(map),
    do: assoc(Value.map(map), pairs, regs)

  defp assoc(_value, _pairs, _regs), do: :any
end
