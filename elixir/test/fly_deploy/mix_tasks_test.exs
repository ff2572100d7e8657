defmodule FlyDeploy.MixTasksTest do
  # The commands, options and settings of fly_deploy's README, one after the other, with a program that notes how it was called.

  use ExUnit.Case

  import ExUnit.CaptureIO

  alias FlyDeploy.Command
  alias Mix.Tasks.FlyDeploy.{Hot, Status}

  doctest Command
  doctest FlyDeploy.Output

  @keys [:bucket, :max_concurrency, :suspend_timeout, :timeout, :fly_config, :otp_app, :env]
  # This package is the project here.
  @app ["--otp-app", "fly_deploy"]
  @asks_nobody ["--output", "plain", "--yes"]

  setup do
    dir = Path.join(System.tmp_dir!(), "fly_deploy-tasks-#{System.unique_integer([:positive])}")
    File.mkdir!(dir)
    program = Path.join(dir, "flydeploy")
    env = for name <- ["FLYDEPLOY", "PATH"], do: {name, System.get_env(name)}

    on_exit(fn ->
      for key <- @keys, do: Application.delete_env(:fly_deploy, key)
      for {name, value} <- env, do: if(value, do: System.put_env(name, value), else: System.delete_env(name))
      File.rm_rf!(dir)
    end)

    System.put_env("FLYDEPLOY", program)
    {:ok, dir: dir, program: program}
  end

  # Gives the arguments of each call, what was shown, and the exit code.
  defp called(%{dir: dir, program: program}, task, args, status \\ 0) do
    File.write!(program, """
    #!/bin/sh
    printf '%s\\n' "$@" > #{dir}/args
    echo " ✓ counter 2.0.0: succeeded"
    exit #{status}
    """)

    File.chmod!(program, 0o755)

    shown =
      capture_io(fn ->
        if status == 0 do
          assert task.run(args) in [nil, :ok]
        else
          assert catch_exit(task.run(args)) == {:shutdown, status}
        end
      end)

    assert shown =~ "✓ counter 2.0.0: succeeded"
    dir |> Path.join("args") |> File.read!() |> String.split("\n", trim: true)
  end

  # A pipe's pieces have a power of two of bytes, and these characters have three.
  test "output that comes in pieces which end within characters", %{dir: dir, program: program} do
    much = String.duplicate("✓", 100_000)
    File.write!(Path.join(dir, "much"), much <> <<0xE2>>)
    File.write!(program, "#!/bin/sh\ncat #{dir}/much\n")
    File.chmod!(program, 0o755)
    assert capture_io(fn -> assert Command.run([]) == {:ok, 0} end) == much <> "\uFFFD"
  end

  describe "mix fly_deploy.hot" do
    test "as in the quick start", here do
      assert called(here, Hot, []) == ["hot" | @app] ++ @asks_nobody
    end

    test "the examples", here do
      assert called(here, Hot, ~w(--config fly-staging.toml)) ==
               ["hot" | @app] ++ @asks_nobody ++ ~w(--config fly-staging.toml)

      # A preview needs no consent.
      assert called(here, Hot, ["--dry-run"]) == ["hot" | @app] ++ ~w(--output plain --dry-run)
      image = ~w(--skip-build --image registry.fly.io/my-app:deployment-123)
      assert called(here, Hot, image) == ["hot" | @app] ++ @asks_nobody ++ image
    end

    test "each option, those of later versions too", here do
      for option <- [
            ~w(--config fly.toml),
            ~w(--bucket my-releases),
            ~w(--skip-build),
            ~w(--image registry.fly.io/my-app:deployment-123),
            ~w(--dry-run),
            ~w(--force),
            ~w(--lock-timeout 600),
            ~w(--build-arg ELIXIR_VERSION=1.18.2 --build-arg OTP_VERSION=27.1.2),
            ~w(--no-cache),
            ~w(--buildkit),
            ~w(--max-concurrency 5),
            ~w(--timeout 30000)
          ] do
        assert Enum.take(called(here, Hot, option), -length(option)) == option
      end

      assert called(here, Hot, ~w(--mode hot --cache --force)) ==
               ["hot" | @app] ++ @asks_nobody ++ ["--force"]

      assert_raise Mix.Error, ~r/--strategy bluegreen/, fn -> Hot.run(~w(--mode blue_green)) end
      assert_raise Mix.Error, ~r/--mode is hot/, fn -> Hot.run(~w(--mode warm)) end
    end

    test "what is flydeploy's own, and what follows --, is passed on", here do
      own = ~w(--strategy canary --bake 60s --accept config_changed -- --dockerfile Dockerfile.prod --mode x)
      assert Enum.take(called(here, Hot, own), -length(own)) == own
    end

    test "the Mix configuration, each key", here do
      config = [
        bucket: "my-releases",
        max_concurrency: 10,
        suspend_timeout: 15_000,
        timeout: 30_000,
        fly_config: "fly-staging.toml",
        otp_app: :my_app,
        env: %{"CUSTOM_VAR" => "value", "A" => "b c"}
      ]

      for {key, value} <- config, do: Application.put_env(:fly_deploy, key, value)

      assert called(here, Hot, ["--bucket", "other"]) ==
               ~w(hot --config fly-staging.toml --otp-app my_app --bucket my-releases --max-concurrency 10) ++
                 ~w(--suspend-timeout 15000 --timeout 30000 --temporary-env) ++
                 ["A=b c" | ~w(--temporary-env CUSTOM_VAR=value)] ++ @asks_nobody ++ ~w(--bucket other)

      assert called(here, Status, []) ==
               ~w(status --config fly-staging.toml --otp-app my_app --bucket my-releases)
    end

    test "ends with the exit code of the program", here do
      for status <- [1, 2, 3, 4, 5, 6, 130], do: called(here, Hot, [], status)
    end
  end

  describe "mix fly_deploy.status" do
    test "as its own help has it, and with the exit code", here do
      assert called(here, Status, []) == ["status" | @app]

      assert called(here, Status, ~w(--config fly-staging.toml), 1) ==
               ["status" | @app] ++ ~w(--config fly-staging.toml)
    end
  end

  describe "the program" do
    test "is found in PATH, where FLYDEPLOY names none", %{dir: dir} = here do
      System.put_env("FLYDEPLOY", "")
      System.put_env("PATH", dir <> ":" <> System.get_env("PATH"))
      assert called(here, Status, []) == ["status" | @app]
    end

    test "that is missing is named, with how to get it", %{dir: dir} do
      error = assert_raise Mix.Error, fn -> Hot.run([]) end
      assert error.message =~ "FLYDEPLOY names #{dir}/flydeploy, which is not a program"
      assert error.message =~ "make install"

      System.delete_env("FLYDEPLOY")
      System.put_env("PATH", dir)
      error = assert_raise Mix.Error, fn -> Status.run([]) end
      assert error.message =~ "not in PATH"
      assert error.message =~ "make install"
    end
  end

  # Whatever an application requires of the library, this fulfils: its last version is 0.4.2.
  test "the package sorts above the library" do
    version = Mix.Project.config()[:version]
    assert Version.compare(version, "0.4.2") == :gt
    assert Version.match?(version, ">= 0.1.0")
  end
end
