defmodule Counter.Application do
  @moduledoc """
  Starts the counters (as many as `COUNTERS` says, 2,000 by default) and the HTTP endpoint (on port `PORT`, 8080 by
  default; 0 lets the kernel choose).
  """

  use Application

  @impl Application
  def start(_type, _args) do
    # After a restart the machine runs its image's code. This brings it to the code that its fleet runs.
    FlyDeploy.startup_reapply_current(:counter)

    Supervisor.start_link(children(), strategy: :one_for_one, name: Counter.Supervisor)
  end

  defp children do
    [
      {Registry, keys: :unique, name: Counter.Registry},
      Counter.Upgrades,
      Counter.Hits,
      Counter.Journal,
      Counter.Tally,
      Counter.Gate,
      Counter.Heartbeat,
      {Counter.Pool, number_from_env("COUNTERS", 2_000)},
      {Counter.HTTP, number_from_env("PORT", 8080)}
    ]
  end

  defp number_from_env(name, default) do
    case System.fetch_env(name) do
      {:ok, text} -> String.to_integer(text)
      :error -> default
    end
  end
end
