defmodule Bench.MixProject do
  use Mix.Project

  # BENCH_CHANGED is how many modules differ from the base release, for which it is 0.
  @changed System.get_env("BENCH_CHANGED", "0")

  def project do
    [
      app: :bench,
      version: "1.0.#{@changed}",
      elixir: "~> 1.14",
      elixirc_paths: ["lib", Path.expand("../ledger/lib/control.ex", __DIR__)],
      build_path: System.get_env("BENCH_BUILD", "_build"),
      releases: [bench: [include_executables_for: [:unix]]]
    ]
  end

  def application, do: [extra_applications: [:crypto, :ssl, :logger], mod: {Bench.Application, []}]
end
