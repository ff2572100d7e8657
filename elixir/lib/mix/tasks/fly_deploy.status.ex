defmodule Mix.Tasks.FlyDeploy.Status do
  @shortdoc "Show deployment status for all machines"

  @moduledoc """
  Shows the machines, what their VMs have loaded, and who deploys, by `flydeploy status`.

      mix fly_deploy.status
      mix fly_deploy.status --config fly-staging.toml

  The program `flydeploy` must be in `PATH`, or `FLYDEPLOY` must name it; its options and its exit code are the task's. Of
  `config :fly_deploy` it gets `bucket`, `fly_config` and `otp_app`.
  """

  use Mix.Task

  alias FlyDeploy.Command

  @impl Mix.Task
  def run(args) do
    arguments = Command.status(args, Application.get_all_env(:fly_deploy), Mix.Project.config()[:app])

    case Command.run(arguments) do
      {:ok, 0} -> :ok
      {:ok, status} -> exit({:shutdown, status})
      {:error, text} -> Mix.raise(text)
    end
  end
end
