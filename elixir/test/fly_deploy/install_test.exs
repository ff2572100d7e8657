defmodule FlyDeploy.InstallTest do
  use ExUnit.Case

  # As README.md tells to install the package, without a network.

  @moduletag :tmp_dir
  @moduletag timeout: 300_000

  @package Path.expand("../..", __DIR__)
  @sources ~w(agent lib mix.exs .formatter.exs)

  test "from git, where it is a folder of a repository", %{tmp_dir: dir} do
    repository = Path.join(dir, "flydeploy")
    for source <- @sources, do: copy(source, Path.join(repository, "elixir"))
    File.write!(Path.join(repository, "console.txt"), "what an application does not need")
    run(repository, "git", ~w(init --quiet))
    run(repository, "git", ~w(add .))
    run(repository, "git", ~w(-c user.name=me -c user.email=me@localhost commit --quiet --message all))

    app = app(dir, git: "file://#{repository}", sparse: "elixir")
    run(app, "mix", ~w(deps.get))
    starts(app)

    assert app |> Path.join("deps/fly_deploy/elixir/lib/fly_deploy.ex") |> File.exists?()
    refute app |> Path.join("deps/fly_deploy/console.txt") |> File.exists?()
  end

  # So does the sample application, whose tests boot it.
  @tag :soak
  test "by path", %{tmp_dir: dir} do
    for source <- @sources, do: copy(source, Path.join(dir, "flydeploy/elixir"))
    dir |> app(path: "../flydeploy/elixir") |> starts()
  end

  defp copy(source, to) do
    File.mkdir_p!(to)
    File.cp_r!(Path.join(@package, source), Path.join(to, source))
  end

  # An application with the hook, as the README has it.
  defp app(dir, dependency) do
    app = Path.join(dir, "my_app")
    File.mkdir_p!(Path.join(app, "lib"))

    File.write!(Path.join(app, "mix.exs"), """
    defmodule MyApp.MixProject do
      use Mix.Project
      def project, do: [app: :my_app, version: "1.0.0", deps: [{:fly_deploy, #{inspect(dependency)}}]]
      def application, do: [mod: {MyApp.Application, []}]
    end
    """)

    File.write!(Path.join(app, "lib/application.ex"), """
    defmodule MyApp.Application do
      use Application

      def start(_type, _args) do
        FlyDeploy.startup_reapply_current(:my_app)
        Supervisor.start_link([], strategy: :one_for_one)
      end
    end
    """)

    app
  end

  defp starts(app) do
    output = run(app, "mix", ["run", "-e", "IO.inspect(FlyDeploy.current_vsn(), label: :runs)"])
    assert output =~ "runs: %{"
    refute output =~ "warning"
  end

  # What this run of mix has set is not for the other one.
  @environment [
    {"MIX_ENV", "dev"},
    {"MIX_TARGET", nil},
    {"MIX_EXS", nil},
    {"MIX_BUILD_PATH", nil},
    {"FLY_IMAGE_REF", nil}
  ]

  defp run(dir, program, arguments) do
    {output, status} = System.cmd(program, arguments, cd: dir, env: @environment, stderr_to_stdout: true)

    assert status == 0, "#{program} #{Enum.join(arguments, " ")}: #{output}"
    output
  end
end
