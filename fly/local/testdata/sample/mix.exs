defmodule Sample.MixProject do
  use Mix.Project

  def project do
    [
      app: :sample,
      version: System.get_env("SAMPLE_VERSION", "1.0.0"),
      elixir: "~> 1.14",
      start_permanent: true,
      deps: [],
      releases: [sample: [strip_beams: true, include_executables_for: [:unix]]]
    ]
  end

  def application do
    [extra_applications: [], mod: {Sample, []}]
  end
end
