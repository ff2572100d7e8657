defmodule FlyDeployAgent.Trial do
  @moduledoc """
  What comes of one state: migrates a copy of it as the window would, in a scratch VM, and renders it where it is an open page's.
  Tells shapes and names, never a value.
  """

  alias FlyDeployAgent.{Failure, LiveView.Page, Needs, Shapes}

  @typedoc """
  What is tried: `kind` as of a `FlyDeployAgent.Target`; `server`, the module whose code_change is called, and `unit`, what it is called
  for, nil for nothing; `page` – whether it is rendered; `sought` – what must not be left in the new state, see
  `FlyDeployAgent.Shapes`; `own` – the application's modules, whose exceptions may be shown.
  """
  @type t :: %{
          kind: atom,
          server: module,
          unit: {module, old_vsn :: term} | nil,
          page: boolean,
          sought: Shapes.sought(),
          own: MapSet.t(module)
        }

  @typedoc """
  `ok`: with the shapes before and after, what of the sought is left in it, whether the page's root template is another, and the keys of
  maps in it. `failed`: at the migration or the rendering, whether that is certain to happen to the application too, and what. `needs`: it could not be tried,
  for want of what only the application has.
  """
  @type told ::
          {:ok,
           %{
             before: binary,
             after: binary,
             left: [Shapes.found()],
             root_changed: boolean,
             keys: [atom]
           }}
          | {:failed, :migration | :page, :certain | :unsure | :endless, what :: binary, stack :: [binary]}
          | {:needs, binary}

  # Of one state.
  @keys 500
  @terms 5_000
  # What the shape of data, or of code, makes raise: it will in the application as well.
  @of_data [
    KeyError,
    FunctionClauseError,
    MatchError,
    CaseClauseError,
    CondClauseError,
    WithClauseError,
    TryClauseError,
    BadMapError,
    BadFunctionError,
    BadArityError,
    BadBooleanError,
    UndefinedFunctionError,
    ArithmeticError,
    ArgumentError,
    RuntimeError,
    Protocol.UndefinedError,
    # Elixir 1.20 no longer has it.
    :"Elixir.BadStructError"
  ]

  @doc "Migrates and renders a state."
  @spec run(t, term) :: told
  def run(trial, state) do
    with {:ok, new} <- at(trial, :migration, fn -> migrate(trial, state) end),
         {:ok, root_changed} <- at(trial, :page, fn -> render(trial, new) end) do
      {:ok,
       %{
         before: shape(trial, state),
         after: shape(trial, new),
         left: left(trial, new),
         root_changed: root_changed,
         keys: keys([new], @terms, %{})
       }}
    end
  end

  @doc "What is told of a trial that did not come to an end."
  @spec endless(t, binary, [tuple]) :: told
  def endless(trial, what, stack) do
    step = if trial.unit, do: :migration, else: :page
    {:failed, step, :endless, what, stack |> theirs() |> Failure.stack()}
  end

  # -- the migration

  defp migrate(%{unit: nil}, state), do: {:ok, state}

  defp migrate(%{kind: :gen_statem, server: server, unit: {_, vsn}}, {state, data}) do
    case server.code_change(vsn, state, data, []) do
      {:ok, state, data} -> {:ok, {state, data}}
      other -> returned(other)
    end
  end

  defp migrate(%{server: server, unit: {_, vsn}}, state) do
    case server.code_change(vsn, state, []) do
      {:ok, state} -> {:ok, state}
      other -> returned(other)
    end
  end

  defp returned(other),
    do: {:failed, :migration, :certain, "code_change returned #{Failure.shape(other)}", []}

  # -- the page

  defp render(%{page: false}, _state), do: {:ok, false}

  defp render(_trial, state) do
    if Page.supported?() and Page.fits?(state) do
      {new, _message} = Page.render(state)
      {:ok, print(new) != print(state)}
    else
      {:needs, "a way to render pages, which this LiveView does not have, or a page that is mounted"}
    end
  end

  # In the channel's state from LiveView 1.1 on, in the socket before.
  defp print(%{fingerprints: {print, _}}), do: print
  defp print(%{socket: %{fingerprints: {print, _}}}), do: print
  defp print(_state), do: nil

  # -- what is raised

  defp at(trial, step, fun) do
    fun.()
  catch
    kind, reason -> raised(trial, step, kind, reason, theirs(__STACKTRACE__))
  end

  defp raised(trial, step, kind, reason, stack) do
    case Needs.of(kind, reason, stack) do
      nil -> failed(trial, step, kind, reason, stack)
      what -> {:needs, what}
    end
  end

  # A gen_server takes what is thrown for what is returned.
  defp failed(_trial, :migration, :throw, value, _stack), do: returned(value)

  defp failed(trial, step, :error, reason, stack) do
    told = Failure.explain({:error, {:EXIT, {reason, stack}}}, &(&1 in trial.own))
    %{__struct__: exception} = Exception.normalize(:error, reason, stack)
    certain? = exception in @of_data and ours?(trial, stack)
    {:failed, step, if(certain?, do: :certain, else: :unsure), told.exception, told.stack}
  end

  defp failed(_trial, step, kind, reason, stack),
    do: {:failed, step, :unsure, "#{kind} with #{Failure.shape(reason)}", Failure.stack(stack)}

  # Whether the application's code, or what the language does for it, has raised: libraries may miss what only the application has.
  defp ours?(trial, stack) do
    Enum.find_value(stack, false, fn {module, _, _, _} ->
      cond do
        module in trial.own -> true
        language?(module) -> nil
        true -> false
      end
    end)
  end

  # An undefined module is in no application, and its caller is the one to blame; so it is with protocols.
  defp language?(module) do
    with [_ | _] = file <- :code.which(module) do
      dir = file |> List.to_string() |> Path.dirname()
      app = dir |> Path.dirname() |> Path.basename()
      Path.basename(dir) == "consolidated" or app =~ ~r/^(elixir|stdlib|kernel|erts|compiler)(-|$)/
    else
      _ -> true
    end
  end

  # The stack down to where we have called.
  defp theirs(stack) do
    ours = [__MODULE__, Page]
    Enum.take_while(stack, fn {module, _, _, _} -> module not in ours end)
  end

  # -- what has become of it

  # What a page is made of, without LiveView's own.
  defp shape(%{page: true}, %{socket: %{assigns: assigns}}),
    do: assigns |> Map.drop([:__changed__, :flash, :live_action]) |> Failure.shape()

  defp shape(_trial, state), do: Failure.shape(state)

  defp left(%{sought: sought}, state), do: Shapes.within(state, sought)

  # The keys of all maps in it.
  defp keys(terms, left, found) when terms == [] or left == 0 or map_size(found) >= @keys, do: Map.keys(found)

  defp keys([%{} = map | rest], left, found) when map_size(map) <= 100 do
    found = for key when is_atom(key) and key != :__struct__ <- Map.keys(map), into: found, do: {key, true}
    keys(Map.values(map) ++ rest, left - 1, found)
  end

  defp keys([tuple | rest], left, found) when is_tuple(tuple) and tuple_size(tuple) <= 100,
    do: keys(Tuple.to_list(tuple) ++ rest, left - 1, found)

  defp keys([[head | tail] | rest], left, found), do: keys([head, tail | rest], left - 1, found)
  defp keys([_term | rest], left, found), do: keys(rest, left - 1, found)
end
