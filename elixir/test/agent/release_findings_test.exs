defmodule FlyDeployAgent.ReleaseFindingsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Manifest, ReleaseFindings}

  @moduletag :tmp_dir

  # A running release, and the one that an upgrade brings. Its application is this one, which runs.
  setup %{tmp_dir: dir} do
    [running, new] = for name <- ["running", "new"], do: Path.join(dir, name)

    for root <- [running, new] do
      write(root, %{
        "releases/1/sys.config" => "[{a, [{b, 1}]}].",
        "releases/1/vm.args" => "+P 1000\n",
        "releases/1/env.sh" => ""
      })
    end

    System.put_env(%{"RELEASE_ROOT" => running, "RELEASE_VSN" => "1"})
    on_exit(fn -> for name <- ["RELEASE_ROOT", "RELEASE_VSN"], do: System.delete_env(name) end)
    %{new: new}
  end

  defp write(dir, files) do
    for {name, text} <- files do
      path = Path.join(dir, name)
      File.mkdir_p!(Path.dirname(path))
      File.write!(path, text)
    end
  end

  defp found(new, changes, files \\ []) do
    write(new, %{Manifest.path("fly_deploy-1") => Manifest.text(new, "1")})
    for f <- ReleaseFindings.all(new, changes, files), do: {f.name, f.severity, f.subject <> ": " <> f.detail}
  end

  test "a release with the same configuration", %{new: new} do
    assert found(new, [:module]) == []
    assert found(new, []) == []
  end

  test "without a manifest nothing is known", %{new: new} do
    write(new, %{"releases/1/vm.args" => "+P 5\n"})
    assert ReleaseFindings.all(new, [], []) == []
  end

  test "settings are told by their names", %{new: new} do
    write(new, %{"releases/1/sys.config" => "[{a, [{b, 2}]}].", "releases/1/vm.args" => "+P 1000\n+K true\n"})

    assert found(new, [:module]) == [
             {"config_changed", :block,
              "sys.config: differs in :a, :b, and is not applied before the next cold deploy"},
             {"boot_changed", :block,
              "vm.args: differs in +K, and is not applied before the next cold deploy"}
           ]

    assert {"nothing_hot", :refuse, _} = found(new, []) |> List.last()
  end

  test "what an earlier upgrade was accepted with is no news", %{new: new} do
    write(new, %{"releases/1/sys.config" => "[{a, [{b, 2}]}]."})
    ebin = Path.join(Application.app_dir(:fly_deploy), "ebin")
    placed = Path.join(ebin, Path.basename(Manifest.path("x")))
    File.write!(placed, Manifest.text(new, "1"))
    on_exit(fn -> File.rm!(placed) end)
    assert [{"config_changed", :info, _}] = found(new, [])
    write(new, %{"releases/1/sys.config" => "[{a, [{b, 3}]}]."})
    assert [{"config_changed", :block, _} | _] = found(new, [])
  end

  test "native files that differ, and new migrations", %{new: new} do
    native = <<0x7F, "ELF", 1>>
    write(new, %{"lib/fly_deploy-1/priv/nif.so" => native, "lib/crypto-5/priv/crypto.so" => native})
    to = "/app/lib/fly_deploy-1/priv/repo/migrations/"
    File.mkdir_p!(Path.join(new, "old"))
    there = Path.join(new, "priv/repo/migrations/1_old.exs")
    write(new, %{"priv/repo/migrations/1_old.exs" => ""})
    files = [{"x", to <> "2_new.exs"}, {"x", there}, {"x", "/app/lib/fly_deploy-1/priv/static/app.js"}]

    assert [
             {"native_changed", :refuse, "fly_deploy/priv/nif.so: " <> _},
             {"migrations_added", :block, "2_new.exs: " <> _}
           ] = found(new, [:module], files)
  end
end
