defmodule FlyDeployAgent.Wrappers do
  @moduledoc """
  Servers that hide their callback module, as GenStage does: the process names the wrapper, and the wrapper passes
  `code_change` on to a module that it keeps in its state. The wrapper is the behaviour that the changed module declares.
  """

  alias FlyDeployAgent.Rounds

  # Behaviours whose processes name their callback module themselves, or have none.
  @direct [
            GenServer,
            :gen_server,
            :gen_statem,
            :gen_event,
            :gen_fsm,
            Supervisor,
            :supervisor,
            DynamicSupervisor
          ] ++
            [Application, :application, Agent, Phoenix.LiveView, Phoenix.LiveComponent, Phoenix.Channel]
  @typep wrapped :: %{pid: pid, kind: :wrapper, modules: [module]}

  # How long processes may take to tell which module they keep.
  @answer_ms 250

  @doc "The wrappers that changed modules may be hidden by, `%{behaviour => [module]}`."
  @spec of(%{module => FlyDeployAgent.Processes.facts()}) :: %{module => [module]}
  def of(changed) do
    pairs = for {module, facts} <- changed, behaviour <- facts.behaviours -- @direct, do: {behaviour, module}
    Enum.group_by(pairs, &elem(&1, 0), &elem(&1, 1))
  end

  @doc "A process of the server `server` that may hide one of the wrappers' modules, nil for any other."
  @spec wrapped(pid, module, %{module => [module]}) :: wrapped | nil
  def wrapped(_pid, _server, wrappers) when wrappers == %{}, do: nil

  def wrapped(pid, server, wrappers) do
    case for {behaviour, modules} <- wrappers, of?(server, behaviour), module <- modules, do: module do
      [] -> nil
      modules -> %{pid: pid, kind: :wrapper, modules: modules}
    end
  end

  # The behaviour itself, or a server below it.
  defp of?(behaviour, behaviour), do: true

  defp of?(server, behaviour),
    do: String.starts_with?("#{server}", "#{behaviour}.") and function_exported?(server, :code_change, 3)

  @doc "Asks wrapped processes which module they keep; those that keep none of theirs, or do not answer, are left out."
  @spec unwrap([wrapped]) :: [%{pid: pid, module: module}]
  def unwrap(wrapped) do
    asked = for %{pid: pid, modules: modules} <- wrapped, do: {pid, &kept(&1, modules)}
    for {pid, module} when module != nil <- Rounds.inside(asked, @answer_ms), do: %{pid: pid, module: module}
  end

  defp kept(state, modules), do: Enum.find(modules, &keeps?(state, &1, 2))

  defp keeps?(module, module, _depth), do: true
  defp keeps?(_term, _module, 0), do: false

  defp keeps?(%{} = map, module, depth) when map_size(map) <= 64,
    do: map |> Map.values() |> Enum.any?(&keeps?(&1, module, depth - 1))

  defp keeps?(tuple, module, depth) when is_tuple(tuple) and tuple_size(tuple) <= 64,
    do: tuple |> Tuple.to_list() |> Enum.any?(&keeps?(&1, module, depth - 1))

  defp keeps?(_term, _module, _depth), do: false
end
