defmodule Shop.Application do
  use Application

  def start(_type, _args) do
    FlyDeploy.startup_reapply_current(:shop)
    Supervisor.start_link([Shop.Till], strategy: :one_for_one)
  end
end
