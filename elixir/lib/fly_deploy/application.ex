defmodule FlyDeploy.Application do
  @moduledoc false

  use Application

  @impl true
  def start(_type, _args) do
    Supervisor.start_link([FlyDeploy.Events, FlyDeploy.Survival, FlyDeploy.CatchUp],
      strategy: :one_for_one,
      name: FlyDeploy.Supervisor
    )
  end
end
