defmodule FlyDeployAgent.HandedOn do
  @moduledoc """
  Messages that a callback hands on to functions of its module, one for calls, one for casts, and that these no longer take. Whether they
  do is found out by following the callback with them, see `FlyDeployAgent.Paths`.
  """

  alias FlyDeployAgent.{CodeFacts, Messages, Pair, Paths}

  # Messages that are followed, of one callback.
  @messages 20

  @doc """
  The messages that functions named that the running callback leads to, which it handles, and the new one never does. `kinds` are what another
  argument may be meanwhile, by its register: one is enough.
  """
  @spec refused(Pair.t(), {atom, arity}, argument :: non_neg_integer, [map]) :: [Messages.message()]
  def refused(%{module: module} = pair, {f, a} = callback, argument, kinds) do
    [old, new] = for version <- [:old, :new], do: Pair.code(pair, version)
    known = Messages.named(old[callback], {:x, argument})

    # By functions that differ, in any argument.
    named =
      for {{_, n} = function, body} <- CodeFacts.reached(old, module, [callback]),
          function != callback and body != new[function],
          message <- named(body, n) -- named(new[function], n),
          message not in known,
          uniq: true,
          do: message

    programs =
      if named == [],
        do: [],
        else: for(code <- [old, new], do: Paths.alone(module, code, [{module, f, a}]))

    for message <- Enum.take(named, @messages),
        Enum.any?(kinds, &refused?(programs, {module, f, a}, given(&1, a, argument, message))) do
      message
    end
  end

  defp named(body, arity),
    do: for(n <- Enum.take(0..255, arity), message <- Messages.named(body, {:x, n}), do: message)

  defp given(kind, a, argument, message) do
    for n <- Enum.take(0..255, a),
        do: if(n == argument, do: Messages.value(message), else: Map.get(kind, {:x, n}, :any))
  end

  defp refused?(programs, mfa, arguments) do
    [old, new] = for program <- programs, do: Paths.follow(program, mfa, arguments)
    old.whole and old.returns != [] and new.whole and new.returns == []
  end
end
