defmodule FlyDeploy.UpgradeInfo do
  @moduledoc false

  # What fly_deploy's own get_current_hot_upgrade_info/1 tells, under its keys.

  alias FlyDeploy.{Metadata, Settings, Storage, Version}

  @spec of(atom) :: map
  def of(app), do: about(read(app), Version.running(), System.get_env())

  @doc """
  Of current.json, or nil where there is none to read. `running` is `FlyDeploy.Version.running/0`.

      iex> env = %{"FLY_IMAGE_REF" => "registry.fly.io/a:1"}
      iex> FlyDeploy.UpgradeInfo.about(nil, nil, env)
      %{
        hot_upgrade_applied: false,
        locally_applied: false,
        current_image_ref: "registry.fly.io/a:1",
        base_image_ref: nil
      }
  """
  @spec about(binary | nil, Version.running() | nil, %{String.t() => String.t()}) :: map
  def about(document, running, env) do
    image = Map.get(env, "FLY_IMAGE_REF", "")

    told = %{
      hot_upgrade_applied: false,
      locally_applied: running[:version] != nil,
      current_image_ref: if(image == "", do: "unknown", else: image),
      base_image_ref: document && Metadata.image_ref(document)
    }

    with true <- is_binary(document),
         {:ok, upgrade} <- Metadata.upgrade(document, image, Version.image_code(), env["FLY_MACHINE_ID"]) do
      Map.merge(told, %{
        hot_upgrade_applied: true,
        locally_applied: {running[:hot_ref], running[:version]} == {upgrade.hot_ref, upgrade.version},
        version: upgrade.version,
        source_image_ref: upgrade.hot_ref,
        deployed_at: upgrade.deployed_at,
        local_marker: marker(running)
      })
    else
      _ -> told
    end
  end

  defp marker(%{version: version, hot_ref: hot_ref}) when is_binary(version),
    do: %{"version" => version, "source_image_ref" => hot_ref}

  defp marker(_running), do: nil

  defp read(app) do
    with {:ok, settings} <- Settings.load(System.get_env(), Application.get_all_env(:fly_deploy)),
         {:ok, document} <- Storage.read(settings, "releases/#{app}-current.json") do
      document
    else
      _ -> nil
    end
  end
end
