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
end
