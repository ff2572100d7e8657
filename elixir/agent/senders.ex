defmodule FlyDeployAgent.Senders do
  @moduledoc """
  Whether anything makes messages of a kind once the new code is loaded: a call that nobody makes is not missed. Who makes another one in
  its place, as the functions beside the callback mostly do, has none under way, unless its server has more to do than it gets done.
  """

  alias FlyDeployAgent.{CodeFacts, Demands, Messages, Pair, Release}

  # Modules that name a message, and whose code is read for whether they make it. Of more, one will.
  @read 100

  @doc """
  Those of the messages that code of the module, or of any other, puts together; `waiting?` tells whether messages wait for such a
  process, so that what the running version made counts. Texts come from outside.
  """
  @spec sent(Pair.t(), [Messages.message()], Demands.codes(), waiting? :: boolean) :: [Messages.message()]
  def sent(_pair, [], _codes, _waiting?), do: []

  def sent(%{module: module} = pair, messages, codes, waiting?) do
    version = if waiting?, do: :old, else: :new
    {own, others} = Enum.split_with(messages, &(is_binary(&1) or made?(Pair.code(pair, version), &1)))
    own ++ Enum.filter(others, &elsewhere?(&1, named(name(&1), module), {version, codes}))
  end

  defp name({tag, _arity}), do: tag
  defp name(tag), do: tag

  defp named(name, module) do
    hash = :erlang.phash2(name)
    for {other, file, hashes} <- index(), other != module, among?(hashes, hash), do: {other, file}
  end

  # Which atoms each module names, by a number of four bytes: one plan asks for many, and thousands of files would be read for each.
  defp index do
    with nil <- Process.get(__MODULE__) do
      index =
        for {module, [_ | _] = file} <- :code.all_loaded(),
            # OTP knows nothing of an application's messages.
            Release.origin_of(List.to_string(file)) != :otp,
            {:ok, beam} <- [File.read(file)],
            do:
              {module, file, for(atom <- CodeFacts.atoms(beam), into: <<>>, do: <<:erlang.phash2(atom)::32>>)}

      Process.put(__MODULE__, index)
      index
    end
  end

  defp among?(<<hash::32, _::binary>>, hash), do: true
  defp among?(<<_::32, rest::binary>>, hash), do: among?(rest, hash)
  defp among?(<<>>, _hash), do: false

  defp elsewhere?(message, modules, {version, codes}) do
    length(modules) > @read or
      Enum.any?(modules, fn {module, file} ->
        with nil <- codes.(version, module),
             {:ok, beam} <- File.read(file),
             {:ok, code} <- CodeFacts.functions(beam) do
          made?(code, message)
        else
          %{} = code -> made?(code, message)
          _ -> true
        end
      end)
  end

  # What is compared is not made, and the names of a module's functions are no messages.
  defp made?(code, message),
    do:
      Enum.any?(code, fn {function, body} ->
        function != {:__info__, 1} and
          Enum.any?(body, &(elem(&1, 0) in [:put_tuple2, :put_list, :move] and makes?(&1, message)))
      end)

  defp makes?({:put_tuple2, _to, {:list, [{:atom, tag} | rest]}}, {tag, arity}), do: length(rest) == arity - 1
  defp makes?(operation, message), do: operation |> Tuple.to_list() |> Enum.any?(&operand?(&1, message))

  defp operand?({:atom, atom}, atom), do: true
  defp operand?({:literal, term}, message), do: within?(term, message)
  defp operand?({:list, operands}, message), do: Enum.any?(operands, &operand?(&1, message))
  defp operand?(_operand, _message), do: false

  defp within?(tuple, {tag, arity}) when tuple_size(tuple) == arity and elem(tuple, 0) == tag, do: true
  defp within?(atom, atom) when is_atom(atom), do: true
  defp within?(tuple, message) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> within?(message)
  defp within?([head | tail], message), do: within?(head, message) or within?(tail, message)
  defp within?(_term, _message), do: false
end
