defmodule FlyDeploy.Command do
  @moduledoc false

  # The program `flydeploy`, as the Mix tasks call it: fly_deploy's own options and Mix configuration lead to its options.

  @program "flydeploy"

  # What `config :fly_deploy` says of deploys, under the names that fly_deploy gives it.
  @configured [
    fly_config: "--config",
    otp_app: "--otp-app",
    bucket: "--bucket",
    max_concurrency: "--max-concurrency",
    suspend_timeout: "--suspend-timeout",
    timeout: "--timeout"
  ]
  # Those of them that say where the app is, and mean something to `flydeploy status`.
  @place [:fly_config, :otp_app, :bucket]

  @doc """
  The arguments of `flydeploy hot`: what Mix is configured with, then the task's own, which win. `app` is the project's, nil in an
  umbrella. As fly_deploy's task does, it asks nobody: without `--dry-run` the plan is confirmed in advance, and blocks all the same.

      iex> FlyDeploy.Command.hot(["--config", "fly-staging.toml"], [bucket: "my-releases", max_concurrency: 10], :my_app)
      {:ok, ["hot", "--otp-app", "my_app", "--bucket", "my-releases", "--max-concurrency", "10", "--output", "plain",
             "--yes", "--config", "fly-staging.toml"]}

      iex> FlyDeploy.Command.hot(["--dry-run"], [env: %{"CUSTOM_VAR" => "value"}], :my_app)
      {:ok, ["hot", "--otp-app", "my_app", "--temporary-env", "CUSTOM_VAR=value", "--output", "plain", "--dry-run"]}

  fly_deploy's other mode is none of ours:

      iex> {:error, text} = FlyDeploy.Command.hot(["--mode", "blue_green"], [], :my_app)
      iex> text =~ "no blue-green deploys"
      true
  """
  @spec hot([String.t()], keyword, atom) :: {:ok, [String.t()]} | {:error, String.t()}
  def hot(args, config, app) do
    with {:ok, args} <- hot_only(args) do
      asks_nobody = if "--dry-run" in args, do: [], else: ["--yes"]
      {:ok, ["hot"] ++ configured(config, app) ++ env(config) ++ ["--output", "plain"] ++ asks_nobody ++ args}
    end
  end

  @doc """
  The arguments of `flydeploy status`.

      iex> FlyDeploy.Command.status(["--config", "fly-staging.toml"], [bucket: "my-releases", timeout: 1], :my_app)
      ["status", "--otp-app", "my_app", "--bucket", "my-releases", "--config", "fly-staging.toml"]
  """
  @spec status([String.t()], keyword, atom) :: [String.t()]
  def status(args, config, app), do: ["status"] ++ configured(Keyword.take(config, @place), app) ++ args

  defp configured(config, app) do
    config = Keyword.put_new(config, :otp_app, app)
    for {key, option} <- @configured, value = config[key], word <- [option, to_string(value)], do: word
  end

  defp env(config) do
    for {name, value} <- Enum.sort(config[:env] || []),
        word <- ["--temporary-env", "#{name}=#{value}"],
        do: word
  end

  # --mode hot and --cache are what happens anyway.
  defp hot_only(args, kept \\ [])
  defp hot_only(["--" | _] = passed, kept), do: {:ok, Enum.reverse(kept) ++ passed}
  defp hot_only(["--mode", mode | args], kept), do: hot_only(["--mode=" <> mode | args], kept)
  defp hot_only(["--mode=hot" | args], kept), do: hot_only(args, kept)
  defp hot_only(["--cache" | args], kept), do: hot_only(args, kept)

  defp hot_only(["--mode=blue_green" | _], _kept) do
    {:error,
     "flydeploy has no blue-green deploys within a machine. Fly's own replace the machines: `fly deploy --strategy bluegreen`"}
  end

  defp hot_only(["--mode" <> _ | _], _kept), do: {:error, "--mode is hot"}
  defp hot_only([arg | args], kept), do: hot_only(args, [arg | kept])
  defp hot_only([], kept), do: {:ok, Enum.reverse(kept)}

  @doc """
  Runs the program to its end, its output on this one's, and gives its exit code. It is the one that `FLYDEPLOY` names, or else the
  one in `PATH`.
  """
  @spec run([String.t()], %{String.t() => String.t()}) :: {:ok, non_neg_integer} | {:error, String.t()}
  def run(args, env \\ System.get_env()) do
    with {:ok, program} <- find(Map.get(env, "FLYDEPLOY", "")) do
      {_, status} = System.cmd(program, args, into: %FlyDeploy.Output{})
      {:ok, status}
    end
  end

  defp find("") do
    case System.find_executable(@program) do
      nil -> {:error, "the program flydeploy is not in PATH. " <> how_to_get_it()}
      program -> {:ok, program}
    end
  end

  defp find(path) do
    case System.find_executable(path) do
      nil -> {:error, "FLYDEPLOY names #{path}, which is not a program. " <> how_to_get_it()}
      program -> {:ok, program}
    end
  end

  defp how_to_get_it do
    """
    It does the work of this task, on your computer or in CI:
      * unpack the archive for your system from a release of flydeploy (`make dist` in its repository makes them), or
      * run `make install` in its repository, which needs Go,
    then put flydeploy into PATH, or set FLYDEPLOY to where it is.\
    """
  end
end
