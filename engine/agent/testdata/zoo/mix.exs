defmodule Zoo.MixProject do
  use Mix.Project

  # ZOO picks the version of every module that names it: 1 or 2.
  @number System.get_env("ZOO", "1")
  @build System.get_env("ZOO_BUILD", "_build")

  def project do
    [
      app: :zoo,
      version: "1.#{@number}.0",
      elixir: "~> 1.14",
      elixirc_paths: ["lib", Path.expand("../ledger/lib/control.ex", __DIR__)],
      build_path: @build,
      deps_path: Path.join(@build, "deps"),
      lockfile: Path.join(@build, "mix.lock"),
      deps: [{:keeper, path: "../keeper"}],
      releases: [zoo: [include_executables_for: [:unix]]]
    ]
  end

  def application, do: [extra_applications: [:crypto, :ssl, :logger], mod: {Zoo.Application, []}]
end
