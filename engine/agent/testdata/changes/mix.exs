defmodule Changes.MixProject do
  use Mix.Project

  @build System.get_env("CHANGES_BUILD", "_build")

  def project do
    [
      app: :changes,
      version: "1.0.0",
      elixir: "~> 1.14",
      elixirc_paths: ["lib", Path.expand("../ledger/lib/control.ex", __DIR__)],
      build_path: @build,
      deps_path: Path.join(@build, "deps"),
      lockfile: Path.join(@build, "mix.lock"),
      releases: [changes: [include_executables_for: [:unix]]]
    ]
  end

  def application, do: [extra_applications: [:crypto, :ssl, :logger], mod: {Changes.Application, []}]
end
