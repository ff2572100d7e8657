defmodule Keeper.MixProject do
  use Mix.Project

  def project do
    [app: :keeper, version: "1.#{System.get_env("ZOO", "1")}.0", elixir: "~> 1.14", deps: []]
  end

  def application, do: [extra_applications: [:logger]]
end
