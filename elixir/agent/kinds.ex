defmodule FlyDeployAgent.Kinds do
  @moduledoc """
  What there is to rehearse: the processes that the window would migrate, and the open pages that it would render, by kind. Those of a
  kind have the same `code_change` called, with the same old version.
  """

  alias FlyDeployAgent.{CodeFacts, Diff, LiveView, Origin}

  @typedoc """
  `module` is the callback module; `kind`, `server`, `unit` and `page` as of a `FlyDeployAgent.Trial`; `pids` are its processes.
  """
  @type t :: %{
          module: module,
          kind: atom,
          server: module,
          unit: {module, old_vsn :: term} | nil,
          page: boolean,
          pids: [pid]
        }

  @doc "The kinds, the most frequent first."
  @spec all(FlyDeployAgent.Staged.t()) :: [t]
  def all(staged) do
    views = views(staged)
    migrated = for target <- staged.targets, kind <- of_target(target, views), do: {kind, target.pid}
    known = MapSet.new(migrated, &elem(&1, 1))
    rendered = for {pid, view} <- views, pid not in known, do: {of_view(view), pid}

    (migrated ++ rendered)
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
    |> Enum.map(fn {kind, pids} -> Map.put(kind, :pids, pids) end)
    |> Enum.filter(&(&1.page or does_something?(&1, staged)))
    |> Enum.sort_by(&{-length(&1.pids), &1.module})
  end

  defp views(%{facts: facts, known: %{pids: pids}}) do
    if LiveView.visible?(Map.values(facts), []),
      do:
        for(
          pid <- LiveView.views(pids),
          {view, :mount, 3} <- [Origin.initial_call(pid)],
          into: %{},
          do: {pid, view}
        ),
      else: %{}
  end

  defp of_target(%{pid: pid, kind: kind, units: units}, views) do
    page = is_map_key(views, pid)

    for {module, _vsn} = unit <- units,
        do: %{module: module, kind: kind, server: server(pid, kind, module), unit: unit, page: page}
  end

  defp of_view(view), do: %{module: view, kind: :gen_server, server: view, unit: nil, page: true}

  # Whose code_change OTP calls: wrappers, LiveView and Phoenix pass it on.
  defp server(_pid, :gen_event, module), do: module

  defp server(pid, _kind, module) do
    case Origin.initial_call(pid) do
      {_view, :mount, 3} -> Phoenix.LiveView.Channel
      {_channel, :join, 3} -> Phoenix.Channel.Server
      {server, :init, 1} -> server
      _ -> module
    end
  end

  # The code_change that `use GenServer` brings gives every state back.
  defp does_something?(%{module: module, kind: kind}, staged) do
    arity = if kind == :gen_statem, do: 4, else: 3

    with %{} = change <- Enum.find(staged.diff.changes, &(&1.module == module)),
         {:ok, beam} <- change |> Diff.asked() |> File.read(),
         {:ok, code} <- CodeFacts.functions(beam) do
      not CodeFacts.keeps_state?(code[{:code_change, arity}])
    else
      _ -> true
    end
  end
end
