defmodule FlyDeployAgent.Takes do
  @moduledoc """
  Which types functions of Elixir and OTP take, so far as states are read with them, see `FlyDeployAgent.Known`: whatever else they
  get, they raise.
  """

  alias FlyDeployAgent.{Registers, Value}

  @enumerable [:list, :map, :function]
  @modules %{
    Enum => {:first, @enumerable},
    Keyword => {:first, [:list]},
    List => {:first, [:list]},
    Map => {:first, [:map]},
    String => {:first, [:binary]},
    Tuple => {:first, [:tuple]},
    :lists => {:last, [:list]},
    :maps => {:last, [:map]},
    MapSet => {:first, [:map]}
  }
  # These take anything, or something else.
  @others [new: 1, new: 2, wrap: 1, duplicate: 2, duplicate: 3, from_struct: 1, from_keys: 2, keyword?: 1]
  @last [
          get: 2,
          get: 3,
          put: 3,
          remove: 2,
          take: 2,
          is_key: 2,
          find: 2,
          update: 3,
          keys: 1,
          values: 1,
          size: 1
        ] ++
          [to_list: 1, map: 2, filter: 2, foreach: 2, reverse: 1, sum: 1, last: 1, nth: 2, keyfind: 3]
  @asking [:call, :cast, :stop, :get, :update, :get_and_update]
  @keyed [:get, :has_key?, :fetch, :fetch!, :put, :put_new, :delete, :pop, :update, :update!]
  @times [DateTime, NaiveDateTime, Date, Time]
  @bifs [
          length: [:list],
          hd: [:list],
          tl: [:list],
          map_size: [:map],
          tuple_size: [:tuple],
          byte_size: [:binary]
        ] ++
          [
            atom_to_binary: [:atom],
            iolist_size: [:list, :binary],
            iolist_to_binary: [:list, :binary],
            integer_to_binary: [:integer],
            tuple_to_list: [:tuple],
            list_to_tuple: [:list]
          ]

  @references [:cancel_timer, :read_timer, :demonitor]

  @doc "What of the arguments a function does not take, as `FlyDeployAgent.Registers.miss/2` gives it; nil where nothing is known."
  @spec miss(mfa, [Value.t()]) :: {term, boolean} | nil
  def miss({:erlang, f, _}, [one | _]) when f in @references, do: given(one, [:reference])
  def miss({:erlang, f, _}, [value | _]), do: if(types = @bifs[f], do: unlike(value, types))

  # What `in` becomes, from Elixir 1.20 on: it looks into what stands second.
  def miss({Enum, :__in__, 2}, [_one, all]), do: unlike(all, @enumerable)

  # Counting goes from one on.
  def miss({:atomics, _, _}, [{:atomics, size} = array, {:const, n} | _]) when is_integer(n) and n > size,
    do: Registers.miss(array, {:counters, n, size})

  def miss({:counters, f, _}, [{:tuple, [_, array]}, n | more]), do: miss({:atomics, f, 0}, [array, n | more])

  def miss({module, f, _}, [one | _]) when module in @times and f in [:to_iso8601, :to_unix, :add],
    do: unlike(one, [:map])

  def miss({module, f, _}, [one, other | _])
      when module in @times and f in [:diff, :compare, :before?, :after?],
      do: unlike(one, [:map]) || unlike(other, [:map])

  def miss({Process, f, _}, [one | _]) when f in @references, do: given(one, [:reference])

  def miss({Process, f, _}, [one | _]) when f in [:alive?, :exit, :link, :unlink],
    do: given(one, [:pid, :port])

  def miss({:timer, :cancel, 1}, [one]), do: given(one, [:tuple])
  def miss({GenServer, :reply, 2}, [one, _]), do: given(one, [:tuple])

  def miss({module, f, _}, [one | _]) when module in [GenServer, :gen_statem, Agent] and f in @asking,
    do: given(one, [:pid, :atom, :tuple])

  def miss({:queue, f, _}, [value]) when f != :from_list, do: unlike(value, [:tuple])
  def miss({:queue, f, _}, [_item, value]) when f in [:in, :in_r], do: unlike(value, [:tuple])
  # Its own keys are others than those that it is asked for.
  def miss({Map, f, _}, [{:map, values, _} = map, key | _]) when f in @keyed and key == :any do
    if Registers.struct_of(values) == MapSet, do: Registers.miss(map, {:value, Map})
  end

  def miss({MapSet, f, _}, [{:map, _, _} = map | _]) when f != :new, do: no_set(map)

  # A struct is no list of pairs, but for those that say what they are made of.
  def miss({Enum, _, _}, [{:map, %{__struct__: {_, module}}, _} = struct | _]) when is_atom(module),
    do: if(Enumerable.impl_for(%{__struct__: module}) == nil, do: Registers.miss(struct, {:type, :list}))

  def miss({module, f, a}, [_ | _] = arguments) when is_map_key(@modules, module) do
    case @modules[module] do
      {:first, types} -> if {f, a} not in @others, do: unlike(hd(arguments), types)
      {:last, types} -> if {f, a} in @last, do: unlike(List.last(arguments), types)
    end
  end

  def miss(_mfa, _arguments), do: nil

  # nil is what nobody has set yet.
  defp given({:atom, nil}, _types), do: nil
  defp given(value, types), do: unlike(value, types)

  defp unlike(value, types) do
    type = Value.type(value)
    if type && type not in types, do: Registers.miss(value, {:type, hd(types)})
  end

  defp no_set({:map, values, complete} = map) do
    if complete != false and Registers.struct_of(values) != MapSet, do: Registers.miss(map, {:value, MapSet})
  end
end
