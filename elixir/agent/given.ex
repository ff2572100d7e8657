defmodule FlyDeployAgent.Given do
  @moduledoc """
  Functions that are given to others, and what these call them with, see `FlyDeployAgent.Paths`: the state of an Agent, the elements
  of a list or a map, the rows of a table.
  """

  alias FlyDeployAgent.Value

  @asking [:get, :update, :get_and_update, :cast]
  @modules [Enum, Stream, Map, :lists, :maps, Registry, :ets]

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

  def calls({module, f, _}, arguments, lives) when module in @modules do
    with [_ | _] = funs <- for({:fun, _, _} = fun <- arguments, do: fun),
         [_ | _] = given <- Enum.find_value(arguments, &given(module, f, &1, lives)),
         do: for(fun <- funs, do: {fun, given}),
         else: (_ -> [])
  end

  def calls(_mfa, _arguments, _lives), do: []

  defp given(Registry, :dispatch, {:const, _} = name, lives) do
    with {:gives, entries} <- lives.read.({Registry, :lookup, 2}, [name, :any]),
         do: [entries],
         else: (_ -> nil)
  end

  defp given(:ets, f, {:const, _} = name, lives) when f in [:foldl, :foldr] do
    with {:gives, {:cons, row, _}} <- lives.read.({:ets, :tab2list, 1}, [name]), do: [row], else: (_ -> nil)
  end

  defp given(module, _f, _value, _lives) when module in [Registry, :ets], do: nil
  defp given(_module, _f, {kind, head, _}, _lives) when kind in [:cons, :list], do: [head]

  defp given(module, _f, value, _lives) do
    case Value.other(value) do
      {:tuple, [key, value]} when module == :maps -> [key, value]
      nil -> nil
      pair -> [pair]
    end
  end
end
