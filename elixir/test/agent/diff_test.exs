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

  test "applications that are started or not, and dependencies that are new or differ, are told", %{
    tmp_dir: dir
  } do
    {:ok, [{:application, :fly_deploy, keys}]} =
      :file.consult(Application.app_dir(:fly_deploy, "ebin/fly_deploy.app"))

    app(dir, :fly_deploy, Keyword.update!(keys, :applications, &[:brand_new | &1]))
    app(dir, :brand_new, description: ~c"", modules: [])
    beam = Path.join(Application.app_dir(:fly_deploy, "ebin"), "#{FlyDeploy}.beam")
    changed = Path.join(dir, "lib/fly_deploy-9.9.9/ebin/#{FlyDeploy}.beam")
    [{_, other}] = Code.compile_quoted(quote do: defmodule(unquote(__MODULE__.Other), do: nil))
    File.write!(changed, other)

    told = for %{name: name, subject: subject} <- Diff.run(dir, :fly_deploy).findings, do: {name, subject}
    assert {"dependency_added", "brand_new"} in told
    assert {"app_file_changed", "fly_deploy"} in told

    # Of another application it is a dependency.
    told = for %{name: name, subject: subject} <- Diff.run(dir, :shop).findings, do: {name, subject}
    assert {"dependency_changed", "fly_deploy"} in told
    File.cp!(beam, changed)
    refute "dependency_changed" in Enum.map(Diff.run(dir, :shop).findings, & &1.name)
  end

  defp app(dir, name, keys) do
    file = Path.join(dir, "lib/#{name}-9.9.9/ebin/#{name}.app")
    File.mkdir_p!(Path.dirname(file))
    File.write!(file, :io_lib.format("~p.~n", [{:application, name, keys}]))
  end

  test "the version is that of the application's files" do
    assert Diff.version(:fly_deploy) == to_string(Application.spec(:fly_deploy, :vsn))
    assert Diff.version(:nobody_knows) == nil
  end
end
