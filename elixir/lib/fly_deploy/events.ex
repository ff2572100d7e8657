defmodule FlyDeploy.Events do
  @moduledoc false

  alias FlyDeploy.Version

  @key :upgrades

  def child_spec(_), do: Registry.child_spec(keys: :duplicate, name: __MODULE__)

  @spec subscribe() :: :ok
  def subscribe do
    if Registry.keys(__MODULE__, self()) == [], do: {:ok, _} = Registry.register(__MODULE__, @key, nil)
    :ok
  end

  # flydeploy's agent calls this after the window, whatever its version is: the argument may gain keys, and must keep
  # those that are here. `:id` came later: the upgrade's ID, and behind it what makes it this machine's.
  @doc false
  @spec upgrade_ended(%{
          outcome: atom,
          otp_app: atom,
          version: String.t(),
          hot_ref: String.t(),
          modules: non_neg_integer,
          processes: non_neg_integer,
          suspended_us: non_neg_integer
        }) :: :ok
  def upgrade_ended(%{outcome: :committed} = about) do
    Version.start(about.otp_app)
    Version.upgraded(about.hot_ref, about.version, upgrade_id(about[:id]))
    publish(:hot_upgrade_complete, info(about))
  end

  def upgrade_ended(about),
    do: publish(:hot_upgrade_failed, about |> info() |> Map.put(:reason, about.outcome))

  defp upgrade_id(nil), do: nil
  defp upgrade_id(id), do: id |> String.split("-") |> hd()

  defp info(about), do: Map.take(about, [:version, :hot_ref, :modules, :processes, :suspended_us])

  defp publish(event, info) do
    Registry.dispatch(__MODULE__, @key, fn subscribers ->
      for {pid, _} <- subscribers, do: send(pid, {:fly_deploy, event, info})
    end)
  end
end
