defmodule Shop.MixProject do
  use Mix.Project

  def project do
    [
      app: :shop,
      version: "#{System.get_env("MALL_VERSION", "1")}.0.0",
      build_path: "../../_build",
      config_path: "../../config/config.exs",
      deps_path: "../../deps",
      lockfile: "../../mix.lock",
      deps: [{:fly_deploy, path: "../../fly_deploy"}]
    ]
  end

  def application, do: [mod: {Shop.Application, []}, extra_applications: [:logger, :crypto, :ssl]]
end
