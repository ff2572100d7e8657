defmodule FlyDeploy.Child do
  @moduledoc false

  # `{FlyDeploy, otp_app: :my_app}` among an application's children, as fly_deploy has its poller there.

  alias FlyDeploy.{Hook, Reapply, Version}

  @timeout_ms 10_000

  @spec spec(keyword) :: Supervisor.child_spec()
  def spec(opts), do: %{id: FlyDeploy, start: {FlyDeploy, :start_link, [checked(opts)]}}

  @doc "Whoever comes first reapplies: `start/2`, or this. A supervisor that starts it again finds it done."
  @spec start(keyword) :: :ignore
  def start(opts) do
    app = checked(opts)[:otp_app]

    unless is_map_key(Hook.calls(), app) do
      Version.start(app)
      Reapply.run(app, Keyword.get(opts, :timeout, @timeout_ms))
    end

    :ignore
  end

  defp checked(opts) do
    app = Keyword.get(opts, :otp_app)

    cond do
      app == nil or not is_atom(app) ->
        raise ArgumentError,
              "{FlyDeploy, otp_app: :my_app} needs the name of the application, not #{inspect(app)}"

      opts[:mode] == :blue_green ->
        raise ArgumentError,
              "flydeploy has no blue-green deploys: leave out mode: :blue_green, and use Fly's own (`fly deploy --strategy bluegreen`)"

      true ->
        opts
    end
  end
end
