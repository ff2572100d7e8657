defmodule Ledger.MixProject do
  use Mix.Project

  # LEDGER picks the version: lib_1, lib_2 or lib_3.
  @number System.get_env("LEDGER", "1")

  def project do
    [
      app: :ledger,
      version: "1.#{@number}.0",
      elixir: "~> 1.14",
      elixirc_paths: ["lib", "lib_#{@number}"],
      build_path: System.get_env("LEDGER_BUILD", "_build"),
      releases: [ledger: [include_executables_for: [:unix]]]
    ]
  end

  def application, do: [extra_applications: [:crypto, :ssl], mod: {Ledger.Application, []}]
end
