defmodule FlyDeploy.MixProject do
  use Mix.Project

  def project do
    [
      app: :fly_deploy,
      version: "1.0.0",
      description: "Lets machines on Fly.io that were upgraded hot by flydeploy restart into the same code",
      elixir: "~> 1.14",
      elixirc_paths: elixirc_paths(Mix.env()),
      # What tests share: newer versions of Elixir ask about files without tests.
      test_ignore_filters: [&(not String.ends_with?(&1, "_test.exs"))],
      deps: []
    ]
  end

  def application do
    [mod: {FlyDeploy.Application, []}, extra_applications: [:logger, :crypto, :public_key, :ssl]]
  end

  # The package shares these with the agent, whose source the console puts into running VMs under other names.
  @shared Enum.map(
            ~w(app_children app_config archive beam beside child_changes child_lists config_change config_evaluation config_file config_scratch connection
               diff failure free_memory gzip http inventory origin release rounds scratch_port scratch_vm tar unstarted),
            &"agent/#{&1}.ex"
          )

  # The whole agent and the orchestrator are compiled here only to be tested.
  defp elixirc_paths(:test), do: ["lib", "agent", "orchestrator"]
  defp elixirc_paths(_env), do: ["lib" | @shared]
end
