defmodule FlyDeployAgent.Starts do
  @moduledoc """
  What `init/1` gives: a state, and what is to follow it. Running processes have what the running code gave them.
  """

  alias FlyDeployAgent.{CodeFacts, Once, Pair, Paths, Places, Value}

  # Milliseconds after which a timeout that a process got when it started has passed.
  @passed 1_000
  # With these a server goes on with its start in a message to itself.
  @sends [{:erlang, :send, 2}, {:erlang, :!, 2}, {GenServer, :cast, 2}]
  # Bytes of a text that may be a setting.
  @text 64

  @doc "Whether the new version has its processes get a timeout when they start, and the running one does not."
  @spec timeout?(Pair.t()) :: boolean
  def timeout?(pair) do
    [old, new] = for version <- [:old, :new], do: given(pair, version)
    old != [] and new != [] and not Enum.any?(old, &timeout/1) and Enum.any?(new, &timeout/1)
  end

  @doc "The states in which a state machine of the new version starts with a timeout, and one of the running version does not."
  @spec timed(Pair.t()) :: [atom]
  def timed(pair) do
    [old, new] =
      for version <- [:old, :new],
          do:
            for({:tuple, [{:const, :ok} | rest]} <- Enum.map(given(pair, version), &Value.parts/1), do: rest)

    for [{:const, name}, _data, actions] <- new,
        old != [] and is_atom(name) and timer?(actions),
        not Enum.any?(old, &(match?([{:const, ^name}, _, _], &1) and &1 |> List.last() |> timer?())),
        uniq: true,
        do: name
  end

  defp timer?({:tuple, [{:const, kind} | _]}), do: kind in [:state_timeout, :timeout]
  defp timer?({:tuple, [{:tuple, [{:const, :timeout}, _]} | _]}), do: true
  defp timer?({:cons, _, _} = actions), do: actions |> Value.elements() |> elem(0) |> Enum.any?(&timer?/1)
  defp timer?({:const, n}), do: is_integer(n)
  defp timer?(_action), do: false

  @doc "The options that `init/1` gives beside a state, to a library that goes on with it, and the running version gives otherwise."
  @spec options(Pair.t()) :: [atom]
  def options(pair) do
    with [{:ok, then}] <- for(given <- given(pair, :old), do: beside(Value.parts(given))),
         [{:ok, now}] <- for(given <- given(pair, :new), do: beside(Value.parts(given))) do
      for {:tuple, [{:const, key}, value]} <- now,
          is_atom(key),
          not Enum.any?(then, &like?(&1, key, value)),
          do: key
    else
      _ -> []
    end
  end

  defp like?({:tuple, [{:const, key}, before]}, key, value), do: Value.like?(before, value)
  defp like?(_option, _key, _value), do: false

  defp beside({:tuple, [{:const, _}, _state, options]}) do
    case Value.elements(options) do
      {options, true} -> {:ok, options}
      _ -> :none
    end
  end

  defp beside({:tuple, [{:const, _}, _state]}), do: {:ok, []}
  defp beside(_given), do: :none

  @doc "Whether running processes may wait for a timeout, or have a message of its name under way."
  @spec waiting?(Pair.t()) :: boolean
  def waiting?(pair) do
    code = Pair.code(pair, :old)
    callbacks = Map.delete(code, {:init, 1})

    Enum.any?(callbacks, fn {_, body} -> Enum.any?(body, &waits?/1) end) or
      pair |> given(:old) |> started?() or
      Enum.any?(code, fn {_, body} -> Enum.any?(body, &match?({:move, {:atom, :timeout}, _}, &1)) end)
  end

  defp waits?({:put_tuple2, _, {:list, [{:atom, :noreply}, _, last]}}),
    do: elem(last, 0) not in [:atom, :literal]

  defp waits?({:put_tuple2, _, {:list, [{:atom, :reply}, _, _, last]}}),
    do: elem(last, 0) not in [:atom, :literal]

  defp waits?(_operation), do: false

  defp started?([]), do: true
  defp started?(given), do: not Enum.all?(given, &passed?/1)

  defp passed?({:made, [{:const, :ok}, _state, {:const, n}]}) when is_integer(n), do: n <= @passed
  defp passed?(given), do: not timeout(given)

  defp timeout({:made, [{:const, :ok}, _state, {:const, n}]}), do: is_integer(n)
  defp timeout({:made, [{:const, :ok}, _state, value]}), do: Value.type(value) in [nil, :integer]
  defp timeout(_given), do: false

  @doc """
  Whether a start of the new version goes on in `handle_continue/2` with what no start of the running one has done: where that does the same
  in `init/1`, or in a message to itself, it has only moved.
  """
  @spec continues?(Pair.t()) :: boolean
  def continues?(%{module: module} = pair) do
    [old, new] = for version <- [:old, :new], do: pair |> given(version) |> Enum.map(&Value.parts/1)

    with [_ | _] <- old,
         false <- Enum.any?(old, &goes_on?/1),
         [_ | _] = states <- for(given <- new, state = continued(given), do: state),
         false <- Enum.any?(followed(pair, :old).calls, fn {mfa, _} -> mfa in @sends end) do
      before = for {:tuple, [_, state | _]} <- old, do: {:state, state}

      [does, did, keeps] =
        for {version, f} <- [new: {:handle_continue, 2}, old: {:init, 1}, new: {:init, 1}],
            do: calls(pair, version, f, module)

      moved? = Enum.any?(does, &(&1 in did and &1 not in keeps))
      does -- did != [] or (not moved? and Enum.all?(states, &(known?(&1) and &1 in before)))
    else
      _ -> false
    end
  end

  # Already, or nobody knows.
  defp goes_on?({:tuple, [{:const, :ok}, _state]}), do: false
  defp goes_on?(_given), do: true

  defp continued({:tuple, [{:const, :ok}, state, {:tuple, [{:const, :continue}, _]}]}), do: {:state, state}
  defp continued(_given), do: nil

  # A state of which something is not known may have been made by what has moved.
  defp known?({:state, state}), do: known?(state)
  defp known?({:map, values, _}), do: values |> Map.values() |> Enum.all?(&known?/1)
  defp known?({:tuple, values}), do: Enum.all?(values, &known?/1)
  defp known?(value), do: value != :any and not match?({:composed, _}, value)

  defp calls(pair, version, function, module) do
    for {_, body} <- pair |> Pair.code(version) |> CodeFacts.reached(module, [function]),
        {m, _, _} = mfa <- CodeFacts.calls(body),
        m != module and (m != :erlang or Once.once?(mfa)),
        uniq: true,
        do: mfa
  end

  @doc """
  What the running version sets in a state when it starts, and the new one sets otherwise, as `{path, value of the running one}`: numbers, names,
  functions and texts that no start leaves empty.
  """
  @spec settings(Pair.t()) :: [{Places.path(), term}]
  def settings(pair) do
    with [first | _] = before <- pair |> states(:old) |> Enum.map(&Places.of/1),
         [_ | _] = now <- pair |> states(:new) |> Enum.map(&Places.of/1) do
      for {path, _} <- first,
          {:ok, value} <- [setting(path, before)],
          {:ok, other} <- [setting(path, now)],
          other !== value,
          do: {path, value}
    else
      _ -> []
    end
  end

  defp setting(path, states), do: set(agreed(for paths <- states, do: Map.get(paths, path, :none)))

  @doc "What is the same in all states, or is in those where an option has not given something else, as in `opts[:limit] || 10`; `:any` where they differ."
  @spec agreed([Value.t()]) :: Value.t()
  def agreed(values) do
    case Enum.uniq(values) do
      [value] -> value
      [:any, value] -> value
      [value, :any] -> value
      _ -> :any
    end
  end

  @doc """
  The states that a version may start with, by what its `start_link` or `start` gives it where that is one thing; those of Agents that it starts.
  """
  @spec states(Pair.t(), :old | :new) :: [Value.t()]
  def states(%{module: module} = pair, version) do
    %{returns: returns, whole: whole} = followed(pair, version, argument(pair, version, module))
    states = for given <- returns, state = state(Value.parts(given)), state != :any, uniq: true, do: state
    if whole, do: states ++ agents(pair, version), else: []
  end

  defp agents(%{module: module} = pair, version) do
    if Enum.any?(Map.get(pair, version).imports, &(elem(&1, 0) == Agent)) do
      {program, calls} = starting(pair, version, module)

      for {{Agent, f, _}, [{:fun, mfa, free} | _]} when f in [:start_link, :start] <- calls,
          state <- Paths.follow(program, mfa, free).returns,
          uniq: true,
          do: Value.parts(state)
    else
      []
    end
  end

  # What the functions call that start its processes.
  defp starting(pair, version, module) do
    roots = for {f, a} <- Map.get(pair, version).exports, f in [:start_link, :start], do: {module, f, a}
    program = Paths.alone(module, Pair.code(pair, version), roots)

    {program,
     for(
       {_, _, a} = root <- roots,
       call <- Paths.follow(program, root, List.duplicate(:any, a)).calls,
       do: call
     )}
  end

  # What is given to init/1, where all functions that start it give the same.
  defp argument(pair, version, module) do
    {_program, calls} = starting(pair, version, module)

    given =
      for {{server, f, _}, arguments}
          when server in [GenServer, :gen_server, :gen_statem] and f in [:start_link, :start] <- calls,
          uniq: true,
          do: given_first(arguments, module)

    if length(given) == 1, do: hd(given), else: :any
  end

  # Names come before the module in OTP's own.
  defp given_first([{:const, module}, argument | _], module), do: argument
  defp given_first([_name, {:const, module}, argument | _], module), do: argument
  defp given_first(_arguments, _module), do: :any

  # A gen_statem has its data last.
  defp state({:tuple, [{:const, :ok}, {kind, _, _} = state | _]}) when kind in [:map, :cons], do: state
  defp state({:tuple, [{:const, :ok}, {:const, name}, data | _]}) when is_atom(name), do: data
  defp state({:tuple, [{:const, :ok}, {:tuple, _} = state | _]}), do: state
  defp state(_given), do: :any

  defp set({kind, value}) when kind in [:const, :default], do: if(set?(value), do: {:ok, value})
  # One that is named, of any module.
  defp set({:fun, {m, f, a}, []}), do: {:ok, Function.capture(m, f, a)}
  defp set(_value), do: nil

  defp set?(n) when is_number(n), do: n > 1
  defp set?(atom) when is_atom(atom), do: atom not in [nil, true, false]
  defp set?(text) when is_binary(text), do: text != "" and byte_size(text) <= @text
  defp set?(fun) when is_function(fun), do: true
  defp set?(_term), do: false

  defp given(pair, version) do
    %{returns: returns, whole: whole} = followed(pair, version)
    if whole, do: returns, else: []
  end

  defp followed(%{module: module} = pair, version, argument \\ :any) do
    root = {module, :init, 1}
    program = Paths.alone(module, Pair.code(pair, version), [root])
    Paths.follow(program, root, [argument])
  end
end
