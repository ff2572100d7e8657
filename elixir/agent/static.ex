defmodule FlyDeployAgent.Static do
  @moduledoc """
  Endpoints keep the manifest of their static files in memory. After `priv/static` has changed they are told to read it again,
  as Phoenix does when the configuration changes.
  """

  alias FlyDeployAgent.Beam

  @timeout_ms 5_000

  @doc """
  Has every running endpoint warm its cache, if one of `files` (`{source, target}`) is a static file. Gives the endpoints that
  did, and those that failed.
  """
  @spec warm([FlyDeployAgent.Files.file()]) :: {[module], [module]}
  def warm(files) do
    if changed?(files), do: Enum.split_with(endpoints(), &warmed?/1), else: {[], []}
  end

  @doc "Whether one of `files` is a static file. Pages name these by their digests, so they show what they look like now once they render."
  @spec changed?([FlyDeployAgent.Files.file()]) :: boolean
  def changed?(files), do: Enum.any?(files, fn {_source, target} -> target =~ "/priv/static/" end)

  defp endpoints do
    for {module, _file} <- :code.all_loaded(),
        Process.whereis(module) != nil,
        function_exported?(module, :config_change, 2),
        Phoenix.Endpoint in Beam.behaviours(module),
        do: module
  end

  # It is the application's code: beside the agent, and bounded.
  defp warmed?(endpoint) do
    {pid, ref} = spawn_monitor(fn -> exit({:told, endpoint.config_change([], [])}) end)

    receive do
      {:DOWN, ^ref, :process, ^pid, reason} -> match?({:told, _}, reason)
    after
      @timeout_ms ->
        Process.exit(pid, :kill)
        Process.demonitor(ref, [:flush])
        false
    end
  end
end
