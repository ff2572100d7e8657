defmodule FlyDeployAgent.Gives do
  @moduledoc """
  What functions of Elixir and OTP give of the elements that they are given, see `FlyDeployAgent.Known`: one of them, some of them, or
  some and the rest.
  """

  alias FlyDeployAgent.Value

  @some ~w(filter reject sort sort_by reverse take drop uniq uniq_by take_while drop_while shuffle slice dedup to_list concat
    usort delete values)a
  @one [
         {Enum, :find, 2},
         {Enum, :at, 2},
         {List, :first, 1},
         {List, :last, 1},
         {Enum, :max_by, 2},
         {Enum, :min_by, 2}
       ] ++
         [{List, :keyfind, 3}, {Enum, :random, 1}, {Enum, :fetch!, 2}, {:lists, :last, 1}]
  @pairs [
    {Enum, :split, 2},
    {Enum, :split_with, 2},
    {Enum, :split_while, 2},
    {:lists, :partition, 2},
    {:lists, :splitwith, 2}
  ]

  @doc "What a call may give, `{:either, values}`; nil where nothing is known of the elements."
  @spec of(mfa, [Value.t()]) :: {:either, [Value.t()]} | nil
  def of({:queue, f, _}, arguments) do
    with element when element != nil <- of_what(:queue, arguments),
         do: queue(f, element, List.last(arguments))
  end

  def of({module, f, _}, arguments) when module in [:gb_sets, :gb_trees] do
    with element when element != nil <- of_what(module, arguments),
         do: sorted(module, f, element, List.last(arguments))
  end

  def of({module, f, _} = mfa, arguments) when module in [Enum, List, Map, :lists, :maps] do
    with element when element != nil <- of_what(module, arguments) do
      cond do
        f in @some and module != Map and module != :maps -> {:either, [list(element)]}
        f in [:values, :to_list] -> {:either, [list(if(f == :values, do: value(element), else: element))]}
        mfa in @one -> {:either, [element, {:const, nil}]}
        mfa in @pairs -> {:either, [{:made, [list(element), list(element)]}]}
        true -> taken(mfa, element)
      end
    end
  end

  def of(_mfa, _arguments), do: nil

  defp taken({:lists, :keyfind, 3}, element), do: {:either, [element, {:const, false}]}

  defp taken({:lists, :keytake, 3}, element),
    do: {:either, [{:made, [{:const, :value}, element, list(element)]}, {:const, false}]}

  defp taken({List, :keytake, 3}, element), do: {:either, [{:made, [element, list(element)]}, {:const, nil}]}
  defp taken({List, :pop_at, 2}, element), do: {:either, [{:made, [element, list(element)]}]}
  defp taken(_mfa, _element), do: nil

  defp queue(:out, element, queue),
    do:
      {:either, [{:made, [{:made, [{:const, :value}, element]}, queue]}, {:made, [{:const, :empty}, queue]}]}

  defp queue(f, element, _queue) when f in [:get, :head], do: {:either, [element]}
  defp queue(:peek, element, _queue), do: {:either, [{:made, [{:const, :value}, element]}, {:const, :empty}]}
  defp queue(:to_list, element, _queue), do: {:either, [list(element)]}
  defp queue(_f, _element, _queue), do: nil

  defp sorted(:gb_trees, f, {_, [key, value]}, tree) do
    case f do
      _ when f in [:smallest, :largest] -> {:either, [{:made, [key, value]}]}
      _ when f in [:take_smallest, :take_largest] -> {:either, [{:made, [key, value, tree]}]}
      :get -> {:either, [value]}
      :lookup -> {:either, [{:made, [{:const, :value}, value]}, {:const, :none}]}
      :to_list -> {:either, [list({:tuple, [key, value]})]}
      :values -> {:either, [list(value)]}
      :keys -> {:either, [list(key)]}
      _ -> nil
    end
  end

  defp sorted(:gb_sets, f, element, set) do
    case f do
      _ when f in [:smallest, :largest] -> {:either, [element]}
      _ when f in [:take_smallest, :take_largest] -> {:either, [{:made, [element, set]}]}
      :to_list -> {:either, [list(element)]}
      _ -> nil
    end
  end

  @doc "One of the elements of what a module's functions work on: Elixir has it first, Erlang last."
  @spec of_what(module, [Value.t()]) :: Value.t() | nil
  def of_what(_module, []), do: nil

  def of_what(module, arguments) when module in [:lists, :maps, :queue],
    do: arguments |> List.last() |> element()

  def of_what(module, arguments) when module in [:gb_sets, :gb_trees],
    do: arguments |> List.last() |> top()

  def of_what(_module, [first | _]), do: element(first)

  # Of a sorted set or tree, the one on top: a size, and a node of two or three further ones.
  defp top({kind, [size, {other, [first | rest]}]})
       when kind in [:tuple, :made] and other in [:tuple, :made] do
    if Value.type(size) == :integer do
      case rest do
        [_, _] -> first
        [value, _, _] -> {:tuple, [first, value]}
        _ -> nil
      end
    end
  end

  defp top(_value), do: nil

  @doc "One of the elements of a list, a map whose keys are no atoms, a set or a queue; nil where none is known."
  @spec element(Value.t()) :: Value.t() | nil
  def element({kind, head, _}) when kind in [:cons, :list], do: head

  # A queue is two lists.
  def element({kind, [one, other]}) when kind in [:tuple, :made] do
    if Enum.all?([one, other], &(Value.type(&1) == :list)), do: element(one) || element(other)
  end

  def element({:map, %{__struct__: {_, MapSet}, map: map}, _}) do
    with {:tuple, [element, _]} <- Value.other(map), do: element
  end

  def element({:map, _, _} = map), do: Value.other(map)
  def element(_value), do: nil

  # How many there are is not known.
  defp list(element), do: {:cons, element, :any}

  defp value({:tuple, [_, value]}), do: value
  defp value(element), do: element
end
