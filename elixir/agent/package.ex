defmodule FlyDeployAgent.Package do
  @moduledoc """
  Tells the package `fly_deploy`, where the release has it, how a window ended: it tells the application's processes.
  """

  alias FlyDeployAgent.Cell

  @doc "After the window. Whatever the package does, the agent goes on."
  @spec tell(FlyDeployAgent.Order.t(), FlyDeployAgent.Window.t(), FlyDeployAgent.Result.t()) :: any
  def tell(order, window, result) do
    if function_exported?(FlyDeploy.Events, :upgrade_ended, 1) do
      apply(FlyDeploy.Events, :upgrade_ended, [
        %{
          outcome: result.outcome,
          id: order.id,
          otp_app: order.otp_app,
          version: order.version,
          hot_ref: order.source_image,
          modules: map_size(window.md5),
          processes: length(result.targets),
          suspended_us: Cell.longest_us(window.cell)
        }
      ])
    end
  catch
    _, _ -> :ok
  end
end
