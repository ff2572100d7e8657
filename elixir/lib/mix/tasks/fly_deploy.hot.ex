defmodule Mix.Tasks.FlyDeploy.Hot do
  @shortdoc "Hot code upgrade without restarting"

  @moduledoc """
  Upgrades the code of the app's machines on Fly while it runs, by `flydeploy hot`.

      mix fly_deploy.hot
      mix fly_deploy.hot --config fly-staging.toml
      mix fly_deploy.hot --dry-run
      mix fly_deploy.hot --skip-build --image registry.fly.io/my-app:deployment-123

  The program `flydeploy` must be in `PATH`, or `FLYDEPLOY` must name it. The task ends with its exit code: 0 succeeded, 1 failed,
  2 wrong usage, 3 blocked by the plan, 4 locked, 5 partly done, 6 upgraded but not well, 130 cancelled.

  It confirms the plan in advance, as fly_deploy's own task asks nobody; a plan that blocks ends the deploy all the same. To see the plan
  first and to be asked, run `flydeploy hot` itself: it opens the console.

  ## Options

    * `--config` - Path to fly.toml file (default: "fly.toml")
    * `--bucket` - Override S3 bucket name
    * `--skip-build` - Skip building and use existing image (requires `--image`)
    * `--image` - Use specific pre-built image
    * `--build-arg` - NAME=VALUE for the build (repeatable)
    * `--no-cache` - Build without the builder's cache
    * `--buildkit` - Build with BuildKit
    * `--dry-run` - Show the plan, and end there
    * `--force` - Override deployment lock (use with caution)
    * `--lock-timeout` - Lock expiry timeout in seconds (default: 300, at least 120)
    * `--max-concurrency` - How many machines are staged or armed at once (default: 20)
    * `--timeout` - Time limit for each of staging, arming and committing one machine, in milliseconds (default: 60000)

  and every other option of `flydeploy hot --help`, as it is there.

  ## Configuration

      config :fly_deploy,
        bucket: "my-releases",
        max_concurrency: 10,
        suspend_timeout: 250,
        timeout: 60_000,
        fly_config: "fly.toml",
        otp_app: :my_app,
        env: %{"CUSTOM_VAR" => "value"}

  All of it is optional; `otp_app` is the project's by default, and `env` is for the temporary machine that packs the release. Options
  win over it, and it wins over `flydeploy.toml`.
  """

  use Mix.Task

  alias FlyDeploy.Command

  @impl Mix.Task
  def run(args) do
    with {:ok, arguments} <-
           Command.hot(args, Application.get_all_env(:fly_deploy), Mix.Project.config()[:app]),
         {:ok, status} <- Command.run(arguments) do
      if status != 0, do: exit({:shutdown, status})
    else
      {:error, text} -> Mix.raise(text)
    end
  end
end
