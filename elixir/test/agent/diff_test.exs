defmodule FlyDeployAgent.DiffTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Diff, Release}

  @moduletag :tmp_dir

  setup do
    System.put_env("RELEASE_ROOT", "/nowhere")
    on_exit(fn -> System.delete_env("RELEASE_ROOT") end)
  end

  test "static files whose names begin with a dot are files like any other", %{tmp_dir: dir} do
    for file <- ["app.js", ".well-known/security.txt", ".hidden"] do
      path = Path.join([dir, "lib/fly_deploy-9.9.9/priv/static", file])
      File.mkdir_p!(Path.dirname(path))
      File.write!(path, file)
    end

    static = Path.join(Release.app_dir(:fly_deploy), "priv/static")

    assert for({_source, target} <- Diff.run(dir, :fly_deploy).files, do: Path.relative_to(target, static))
           |> Enum.sort() == [".hidden", ".well-known/security.txt", "app.js"]
  end

  test "what another application has now was moved; what an earlier upgrade removed is no news", %{
    tmp_dir: dir
  } do
    ebin = Path.join(Release.app_dir(:fly_deploy), "ebin")
    moved = Path.join(dir, "lib/other-1.0.0/ebin/#{FlyDeploy}.beam")

    for folder <- [Path.dirname(moved), Path.join(dir, "lib/fly_deploy-9.9.9/ebin")],
        do: File.mkdir_p!(folder)

    File.cp!(Path.join(ebin, Path.basename(moved)), moved)

    # It is on disk, and in no list of modules.
    old = Path.join(ebin, "Elixir.RemovedBefore.beam")
    File.cp!(moved, old)
    on_exit(fn -> File.rm!(old) end)

    removed = for {module, :fly_deploy} <- Diff.run(dir, :fly_deploy).removed, do: module
    assert FlyDeploy.Application in removed
    refute FlyDeploy in removed
    refute RemovedBefore in removed
  end
end
