defmodule FlyDeploy.Events do
  @moduledoc false

  alias FlyDeploy.{Newest, Version}

  @key :upgrades
  # When the window that is open began.
  @started :upgrade_started

  @spec child_spec(term) :: Supervisor.child_spec()
  def child_spec(_), do: Registry.child_spec(keys: :duplicate, name: __MODULE__)

  # With a registry's process, as `Registry.register/3` gives it in fly_deploy.
  @spec subscribe() :: {:ok, pid}
  def subscribe do
    if Registry.keys(__MODULE__, self()) == [], do: {:ok, _} = Registry.register(__MODULE__, @key, nil)
    {:ok, Process.whereis(__MODULE__)}
  end

  # flydeploy's agent calls this before the window, and the next after it, whatever its version is: the arguments may gain keys, and
  # must keep those that are here. An older agent calls only the second. `:tarball_url` has no signature.
  @doc false
  @spec upgrade_started(%{otp_app: atom, version: String.t(), hot_ref: String.t(), tarball_url: String.t()}) ::
          :ok
  def upgrade_started(about) do
    Application.put_env(:fly_deploy, @started, now())

    publish(:hot_upgrade_started, %{
      app: about.otp_app,
      tarball_url: about.tarball_url,
      version: about.version,
      hot_ref: about.hot_ref
    })
  end

  # `:id` came later: the upgrade's ID, and behind it what makes it this machine's; so did `:failed`, the processes that could not
  # be migrated, `:trial`: what is on trial may be gone at the next start, and must leave nothing that outlives the VM, and `:back_to`.
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
    failed = about[:failed] || 0
    publish(:hot_upgrade_complete, info(about, about.modules, max(about.processes - failed, 0)))
    if about[:trial], do: :ok, else: Newest.deployed(about.otp_app, upgrade_id(about[:id]), about[:back_to])
  end

  def upgrade_ended(about),
    do: publish(:hot_upgrade_failed, about |> info(0, 0) |> Map.put(:reason, about.outcome))

  defp upgrade_id(nil), do: nil
  defp upgrade_id(id), do: id |> String.split("-") |> hd()

  # With the keys of fly_deploy: what it counts is what has changed.
  defp info(about, reloaded, upgraded) do
    about
    |> Map.take([:version, :hot_ref, :modules, :processes, :suspended_us])
    |> Map.merge(%{
      app: about.otp_app,
      modules_reloaded: reloaded,
      processes_upgraded: upgraded,
      processes_failed: about[:failed] || 0,
      duration_ms: duration_ms(about)
    })
  end

  defp duration_ms(%{suspended_us: suspended_us}) do
    since = Application.get_env(:fly_deploy, @started)
    Application.delete_env(:fly_deploy, @started)
    max(div(suspended_us, 1_000), if(since, do: now() - since, else: 0))
  end

  defp now, do: System.monotonic_time(:millisecond)

  defp publish(event, info) do
    Registry.dispatch(__MODULE__, @key, fn subscribers ->
      for {pid, _} <- subscribers, do: send(pid, {:fly_deploy, event, info})
    end)
  end
end
