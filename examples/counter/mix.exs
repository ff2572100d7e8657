defmodule Counter.MixProject do
  use Mix.Project

  # The same application in four versions: COUNTER_VERSION=1, 2, 3 or 4 chooses which. What all of them share lies
  # in lib/ and priv/; `diff -r versions/v1 versions/v2` shows everything that an upgrade from 1 to 2 changes.
  @numbers ~w(1 2 3 4)

  def project do
    [
      app: :counter,
      version: "#{number()}.0.0",
      elixir: "~> 1.14",
      elixirc_paths: ["lib", sources()],
      build_path: "_build/v#{number()}",
      consolidate_protocols: true,
      start_permanent: Mix.env() == :prod,
      test_pattern: "{all,v#{number()}}/*_test.exs",
      aliases: [test: "test --no-start"],
      deps: [{:fly_deploy, path: fly_deploy()}],
      releases: [counter: [include_executables_for: [:unix], steps: [:assemble, &put_static_files/1]]]
    ]
  end

  # crypto and ssl: whoever upgrades the running release downloads the new code over TLS.
  def application do
    [mod: {Counter.Application, []}, extra_applications: [:logger, :crypto, :ssl]]
  end

  defp number do
    number = System.get_env("COUNTER_VERSION", "1")
    if number in @numbers, do: number, else: Mix.raise("COUNTER_VERSION must be 1, 2, 3 or 4, not #{inspect(number)}")
  end

  defp sources, do: "versions/v#{number()}"

  # `flydeploy demo` writes the package beside this file; in the repository it has its place.
  defp fly_deploy, do: if(File.dir?("fly_deploy"), do: "fly_deploy", else: "../../elixir")

  defp put_static_files(release) do
    File.cp_r!(Path.join(sources(), "priv"), Path.join([release.path, "lib", "counter-#{release.version}", "priv"]))
    release
  end
end
