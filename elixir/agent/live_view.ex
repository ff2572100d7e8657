defmodule FlyDeployAgent.LiveView do
  @moduledoc """
  Makes LiveViews render again with the new code: one message to each LiveView process, as Phoenix's live reload sends it.
  """

  alias FlyDeployAgent.Processes

  @behaviours [Phoenix.LiveView, Phoenix.LiveComponent]
  # So many at a time, with a pause: rendering all at once would be a load spike.
  @batch 50
  @pause_ms 10

  @doc "Whether any changed module is a view or component; `changed` maps modules to `FlyDeployAgent.Beam.facts/1`."
  @spec changed(map) :: [module]
  def changed(changed) do
    for {module, facts} <- changed, Enum.any?(facts.behaviours, &(&1 in @behaviours)), do: module
  end

  @doc "Sends the message to every LiveView process. Gives their number."
  @spec rerender([module]) :: non_neg_integer
  def rerender([module | _]) do
    message = {:phoenix_live_reload, "fly_deploy", source(module)}
    views = for pid <- Process.list(), match?({_, :mount, 3}, Processes.initial_call(pid)), do: pid

    for batch <- Enum.chunk_every(views, @batch) do
      Enum.each(batch, &send(&1, message))
      Process.sleep(@pause_ms)
    end

    length(views)
  end

  # Stripped modules do not tell their source.
  defp source(module) do
    case module.module_info(:compile)[:source] do
      nil -> inspect(module)
      source -> List.to_string(source)
    end
  end
end
