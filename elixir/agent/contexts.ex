defmodule FlyDeployAgent.Contexts do
  @moduledoc """
  What is called with the states that live, see `FlyDeployAgent.Demands`: callbacks, with the messages that their code names.
  """

  alias FlyDeployAgent.{CodeFacts, Messages, Pair, Value}

  @type t :: %{function: {atom, arity}, arguments: [atom] | :none, of: atom, from: non_neg_integer | nil}

  @messages 60
  @start [init: 1, handle_continue: 2, mount: 3, join: 3, code_change: 3, code_change: 4]
  # A message that no code names.
  @other {:tag, :"another message"}

  @doc "The functions of a module that are called with a state. `of` is what they get of it: a process' state, or a page's assigns."
  @spec all(atom, Pair.t() | :same, CodeFacts.code()) :: [t]
  def all(kind, pair, code) do
    for {{f, a} = function, _} <- code,
        callback = callback(kind, f, a, pair),
        do: Map.put(callback, :function, function)
  end

  defp callback(:agent, f, a, pair) do
    if pair != :same and {f, a} in pair.new.exports and {f, a} not in @start,
      do: %{arguments: :none, of: :state, from: nil}
  end

  defp callback(:gen_statem, :handle_event, 4, _pair),
    do: %{arguments: [:any, :message, :state, :data], of: :data, from: 1}

  defp callback(:gen_statem, f, 3, pair) when f not in [:terminate, :handle_event, :code_change] do
    if pair != :same and {f, 3} in pair.new.exports,
      do: %{arguments: [:any, :message, :data], of: :data, from: 1}
  end

  defp callback(:gen_event, f, 2, _pair) when f in [:handle_event, :handle_call, :handle_info],
    do: %{arguments: [:message, :state], of: :state, from: 0}

  defp callback(kind, :render, 1, _pair) when kind == :view,
    do: %{arguments: [:assigns], of: :assigns, from: nil}

  defp callback(kind, :handle_event, 3, _pair) when kind == :view,
    do: %{arguments: [:message, :any, :state], of: :assigns, from: 0}

  defp callback(kind, :handle_params, 3, _pair) when kind == :view,
    do: %{arguments: [:any, :any, :state], of: :assigns, from: nil}

  defp callback(kind, :handle_async, 3, _pair) when kind == :view,
    do: %{arguments: [:message, :any, :state], of: :assigns, from: 0}

  defp callback(kind, f, 3, _pair) when kind == :channel and f in [:handle_in, :handle_out],
    do: %{arguments: [:message, :any, :state], of: :assigns, from: 0}

  defp callback(kind, f, a, _pair) when kind in [:gen_server, :view, :channel] do
    of = if kind == :gen_server, do: :state, else: :assigns

    case {f, a} do
      {:handle_call, 3} -> %{arguments: [:message, :any, :state], of: of, from: 0}
      {f, 2} when f in [:handle_cast, :handle_info] -> %{arguments: [:message, :state], of: of, from: 0}
      {:terminate, 2} when kind == :gen_server -> %{arguments: [:any, :state], of: of, from: nil}
      _ -> nil
    end
  end

  defp callback(_kind, _f, _a, _pair), do: nil

  @doc """
  The messages that it is called with, and whether the running code knows them: what falls to its clause for everything else may not come
  before the new code does.
  """
  @spec messages(t, module, FlyDeployAgent.Demands.codes()) :: [{Value.t(), boolean}]
  def messages(%{from: nil}, _module, _codes), do: [{:any, true}]

  def messages(%{from: n, function: function}, module, codes) do
    [old, new] =
      for version <- [:old, :new], do: Messages.named((codes.(version, module) || %{})[function], {:x, n})

    all = for message <- Enum.uniq(old ++ new), do: {Messages.value(message), message in old}
    [{@other, true} | Enum.take(all, @messages)]
  end

  @doc "Its arguments."
  @spec arguments(t, Value.t(), Value.t()) :: [Value.t()]
  def arguments(%{arguments: :none, function: {_, a}}, _message, _state), do: List.duplicate(:any, a)

  def arguments(%{arguments: arguments}, message, state) do
    for argument <- arguments do
      case {argument, state} do
        {:message, _} -> message
        {:assigns, {:map, %{assigns: assigns}, _}} -> rendered(assigns)
        {:data, {:tuple, [_, data]}} -> data
        {:state, {:tuple, [name, _]}} when arguments == [:any, :message, :state, :data] -> state(name)
        {:state, state} -> state
        _ -> :any
      end
    end
  end

  # After a name others follow; what else it is, it stays.
  defp state({:tuple, _} = state), do: state
  defp state({:map, _, _} = state), do: state
  defp state(_name), do: :any

  # What LiveView adds for a template.
  defp rendered({:map, values, complete}),
    do: {:map, Map.merge(%{socket: :any, __changed__: :any, flash: :any}, values), complete}

  defp rendered(assigns), do: assigns

  @doc "A message of the same shape that no code names."
  @spec other(Value.t()) :: Value.t()
  def other({:made, [{:tag, _} | rest]}), do: {:made, [@other | rest]}
  def other({:tag, _}), do: @other
  def other(message), do: message
end
