defmodule FlyDeployAgent.Given do
  @moduledoc """
  Functions that are given to others, and what these call them with, see `FlyDeployAgent.Paths`: the state of an Agent, the elements
  of a list or a map, the rows of a table.
  """

  alias FlyDeployAgent.{Gives, Known, Value}

  @asking [:get, :update, :get_and_update, :cast]
  @updating [:update, :update!, :get_and_update, :get_and_update!]
  @modules [Enum, Stream, Map, MapSet, :lists, :maps, :queue, :gb_sets]

  # Elements of a constant that are given one by one.
  @named 20

  @doc "The functions among the arguments of a call, with the first of the arguments that they will get."
  @spec calls(mfa, [Value.t()], %{agent: Value.t(), read: FlyDeployAgent.Paths.read()}) :: [
          {Value.t(), [Value.t()]}
        ]
  def calls({Agent, f, _}, [_, {:fun, _, _} = fun | _], lives) when f in @asking, do: [{fun, [lives.agent]}]

  def calls({Agent, f, _}, [_, {:const, module}, {:const, name}, given | _], lives)
      when f in @asking and is_atom(module) and is_atom(name) do
    case Value.elements(given) do
      {given, true} -> [{{:fun, {module, name, length(given) + 1}, []}, [lives.agent | given]}]
      _ -> []
    end
  end

  def calls({Registry, :dispatch, _}, [name | rest], lives) do
    with {:gives, entries} <- lives.read.({Registry, :lookup, 2}, [name, :any]),
         do: all(rest, [entries]),
         else: (_ -> [])
  end

  def calls({:ets, f, 3}, [fun, _, name], lives) when f in [:foldl, :foldr] do
    with {:gives, {:cons, row, _}} <- lives.read.({:ets, :tab2list, 1}, [name]),
         do: all([fun], [row]),
         else: (_ -> [])
  end

  # What stands under a key.
  def calls({module, f, _}, [map, key | rest], _lives) when module in [Map, Keyword] and f in @updating,
    do: under(Known.call({module, :get, 3}, [map, key, :none]), rest)

  def calls({:maps, :update_with, _}, [key, fun | rest], _lives),
    do: under(Known.call({:maps, :get, 3}, [key, List.last(rest), :none]), [fun])

  # Each of those that the code names.
  def calls({module, _, _}, [{:const, all} | _] = arguments, _lives)
      when module in [Enum, Stream] and (is_list(all) or (is_map(all) and not is_struct(all))),
      do: for(element <- named(all), call <- all(arguments, [{:const, element}]), do: call)

  def calls({module, _, _}, arguments, _lives) when module in @modules do
    case {module, Gives.of_what(module, arguments)} do
      {_, nil} -> []
      {:maps, {_, [key, value]}} -> all(arguments, [key, value])
      {_, element} -> all(arguments, [element])
    end
  end

  def calls(_mfa, _arguments, _lives), do: []

  defp named(%{} = map), do: map |> Map.to_list() |> named()
  defp named(list), do: if(List.improper?(list) or length(list) > @named, do: [], else: list)

  defp under({:gives, value}, funs) when value not in [:none, :any], do: all(funs, [value])
  defp under({:either, [value, _]}, funs), do: all(funs, [value])
  defp under(_unknown, _funs), do: []

  defp all(arguments, given), do: for({:fun, _, _} = fun <- arguments, do: {fun, given})
end
