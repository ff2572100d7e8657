defmodule FlyDeploy.UpgradeInfoTest do
  use ExUnit.Case, async: true

  alias FlyDeploy.UpgradeInfo

  doctest UpgradeInfo

  @env %{"FLY_IMAGE_REF" => "registry.fly.io/a:1", "FLY_MACHINE_ID" => "m1"}
  @upgrade ~s({"version": "1.2.3", "source_image_ref": "registry.fly.io/a:2", "tarball_url": "u", "sha256": "0a", "size": 1,
    "deployed_at": "2024-01-15T10:30:00Z"})

  defp record(fields), do: ~s({"image_ref": "registry.fly.io/a:1@sha256:01"#{fields}})
  defp running(version, image), do: %{otp_app: :a, version: version, hot_ref: image, id: nil}

  test "an upgrade that is recorded for the image, and runs" do
    assert UpgradeInfo.about(
             record(~s(, "hot_upgrade": #{@upgrade})),
             running("1.2.3", "registry.fly.io/a:2"),
             @env
           ) == %{
             hot_upgrade_applied: true,
             locally_applied: true,
             version: "1.2.3",
             source_image_ref: "registry.fly.io/a:2",
             deployed_at: "2024-01-15T10:30:00Z",
             current_image_ref: "registry.fly.io/a:1",
             base_image_ref: "registry.fly.io/a:1@sha256:01",
             local_marker: %{"version" => "1.2.3", "source_image_ref" => "registry.fly.io/a:2"}
           }
  end

  test "one that is recorded, and does not run here" do
    recorded = record(~s(, "hot_upgrade": #{@upgrade}))
    told = UpgradeInfo.about(recorded, running(nil, nil), @env)
    assert %{hot_upgrade_applied: true, locally_applied: false, local_marker: nil} = told
    assert %{locally_applied: false} = UpgradeInfo.about(recorded, nil, @env)

    assert %{locally_applied: false} =
             UpgradeInfo.about(recorded, running("1.2.2", "registry.fly.io/a:0"), @env)
  end

  test "this machine's own, where others run their image" do
    recorded = record(~s(, "machine_upgrades": {"m1": #{@upgrade}}))
    assert %{hot_upgrade_applied: true, version: "1.2.3"} = UpgradeInfo.about(recorded, nil, @env)

    assert %{hot_upgrade_applied: false} =
             UpgradeInfo.about(recorded, nil, %{@env | "FLY_MACHINE_ID" => "m2"})
  end

  test "none, one of another image, and a damaged record" do
    for document <- [
          record(""),
          ~s({"image_ref": "registry.fly.io/a:9", "hot_upgrade": #{@upgrade}}),
          "{"
        ] do
      told = UpgradeInfo.about(document, running("1.0.9", "registry.fly.io/a:0"), @env)
      assert %{hot_upgrade_applied: false, locally_applied: true} = told
      refute is_map_key(told, :version)
    end

    assert %{base_image_ref: nil} = UpgradeInfo.about("{", nil, @env)
    assert %{base_image_ref: "registry.fly.io/a:1@sha256:01"} = UpgradeInfo.about(record(""), nil, @env)
  end
end
