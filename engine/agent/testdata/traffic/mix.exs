defmodule Traffic.MixProject do
  use Mix.Project

  @build System.get_env("TRAFFIC_BUILD", "_build")

  def project do
    [
      app: :traffic,
      version: "1.0.0",
      elixir: "~> 1.14",
      elixirc_paths: [
        "lib"
        | Enum.map(
            ~w(ledger/lib/control.ex zoo/lib/phoenix.ex zoo/lib/live_view.ex),
            &Path.expand("../" <> &1, __DIR__)
          )
      ],
      build_path: @build,
      releases: [traffic: [include_executables_for: [:unix]]]
    ]
  end

  def application, do: [extra_applications: [:crypto, :ssl, :logger], mod: {Traffic.Application, []}]
end
