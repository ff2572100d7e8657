defmodule FlyDeployAgent.Needs do
  @moduledoc """
  Why a trial failed that would not fail in the application: it lacks processes, tables, names and a network. Told by what was raised,
  and where.
  """

  @network [:econnrefused, :nxdomain, :enetunreach, :ehostunreach, :eafnosupport, :enetdown, :timeout]
  @process [:send, :monitor, :link, :register, :send_after, :send_nosuspend]
  # Whose errors tell that something was not started.
  @not_started [
    {"unknown registry", "a registry"},
    {"could not lookup Ecto repo", "an Ecto repo"},
    {"could not find persistent term for endpoint", "an endpoint"},
    {"could not find ets table for endpoint", "an endpoint"},
    {"no process", "a process"},
    {"the table identifier does not refer to an existing ETS table", "a table"}
  ]

  @doc "What is needed, nil where the fault lies in code or data."
  @spec of(:error | :exit | :throw, term, [tuple]) :: binary | nil
  def of(:exit, reason, _stack), do: called(reason)
  def of(:throw, _value, _stack), do: nil
  def of(:error, {:badmatch, {:error, reason}}, _stack) when reason in @network, do: "a network"

  def of(:error, %{__struct__: MatchError, term: {:error, reason}}, _stack) when reason in @network,
    do: "a network"

  def of(:error, %{__struct__: System.EnvError}, _stack), do: "the environment"

  def of(:error, %{__exception__: true} = exception, stack) do
    message = Map.get(exception, :message)
    told = is_binary(message) && Enum.find(@not_started, fn {text, _} -> String.contains?(message, text) end)
    if told, do: elem(told, 1), else: wrapped(exception, stack)
  end

  def of(:error, reason, [top | _]) when reason in [:badarg, :noproc], do: bif(top)
  def of(:error, _reason, _stack), do: nil

  # Elixir has made an exception of what Erlang raised.
  defp wrapped(%{__struct__: ArgumentError}, [top | _]), do: bif(top)
  defp wrapped(_exception, _stack), do: nil

  defp bif({:ets, _, args, _}), do: named("table", args)
  defp bif({:persistent_term, _, _, _}), do: "a persistent term"
  defp bif({:erlang, fun, args, _}) when fun in @process, do: named("process", args)
  defp bif(_frame), do: nil

  defp called({reason, {module, fun, args}}) when is_atom(module) and is_atom(fun) and is_list(args),
    do: if(absent?(reason), do: named("process", args))

  defp called(reason), do: if(absent?(reason), do: "a process")

  # By its name: a pid or a reference says nothing.
  defp named(what, [name | _]) when is_atom(name), do: "the #{what} #{inspect(name)}"
  defp named(what, [{name, _node} | _]) when is_atom(name), do: "the #{what} #{inspect(name)}"
  defp named(what, [{:via, _, _} | _]), do: "a #{what} of a registry"
  defp named(what, _args), do: "a #{what}"

  defp absent?(reason), do: reason in [:noproc, :timeout, :nodedown] or match?({:nodedown, _}, reason)
end
