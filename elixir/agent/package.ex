defmodule FlyDeployAgent.Package do
  @moduledoc """
  Tells the package `fly_deploy`, where the release has it, that a window begins, and how it ended: it tells the application's
  processes.
  """

  alias FlyDeployAgent.Cell

  @doc "Before anything is suspended. The tarball's URL goes without its signature."
  @spec started(FlyDeployAgent.Order.t()) :: any
  def started(order) do
    if function_exported?(FlyDeploy.Events, :upgrade_started, 1) do
      apply(FlyDeploy.Events, :upgrade_started, [
        %{
          otp_app: order.otp_app,
          version: order.version,
          hot_ref: order.source_image,
          tarball_url: order.url |> String.split("?", parts: 2) |> hd()
        }
      ])
    end
  catch
    _, _ -> :ok
  end

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
          failed: length(result.failures),
          suspended_us: Cell.longest_us(window.cell)
        }
      ])
    end
  catch
    _, _ -> :ok
  end
end
