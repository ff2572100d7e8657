defmodule FlyDeployAgent.ConfigFindings do
  @moduledoc """
  What a plan tells of configuration that is applied (`FlyDeployAgent.AppConfig`): names of keys and variables, never values.
  """

  alias FlyDeployAgent.{AppConfig, ConfigChange}

  @doc "The findings, of what was found."
  @spec all(AppConfig.found()) :: [FlyDeployAgent.Findings.finding()]
  def all(nil) do
    if AppConfig.applied?(),
      do: [
        finding(
          "config_lost",
          :block,
          "this VM",
          "has the configuration of an earlier upgrade, which its next restart would lose: deploy with --apply-config"
        )
      ],
      else: []
  end

  def all({:error, text}), do: [finding("config_fails", :refuse, "--apply-config", text)]

  def all({:ok, config}) do
    applied =
      for {app, keys} <- AppConfig.by_app(config.keys),
          do: finding("config_applied", :info, inspect(app), applied(app, keys))

    untaken =
      for {app, keys} <- AppConfig.by_app(config.untold) do
        names = Enum.map_join(keys, ", ", &inspect(elem(&1, 0)))
        text = "has not taken #{names} of an earlier upgrade, and is told again, #{teller(app)}"
        finding("config_not_taken", :warn, inspect(app), text)
      end

    Enum.concat([
      applied,
      untaken,
      about(config.cold, "differs in #{some(config.cold)}, which only a boot applies"),
      about(
        config.variables,
        "sets #{Enum.join(config.variables, ", ")} in the environment, which only a boot does"
      ),
      for(
        {app, key} <- config.unsteady,
        do:
          finding(
            "config_unsteady",
            :warn,
            AppConfig.setting({app, key}),
            "has another value each time that it is evaluated, and stays as it is until the next boot"
          )
      )
    ])
  end

  defp about([], _detail), do: []
  defp about(_names, detail), do: [finding("config_changed", :block, "configuration", detail)]

  defp applied(app, keys) do
    what =
      for {kind, word} <- [changed: "changes", new: "adds", removed: "removes"],
          [_ | _] = names <- [for({key, ^kind} <- keys, do: inspect(key))],
          do: "#{word} #{Enum.join(names, ", ")}"

    Enum.join(what, "; ") <> ", " <> teller(app)
  end

  defp teller(:logger), do: "by Logger.configure/1"

  defp teller(app) do
    case ConfigChange.module(app) do
      nil -> "and nobody is told: the application that runs has no config_change/3"
      module -> "and calls #{inspect(module)}.config_change/3"
    end
  end

  defp some(names), do: Enum.map_join(names, "; ", &AppConfig.setting/1)

  defp finding(name, severity, subject, detail),
    do: %{name: name, severity: severity, subject: subject, detail: detail}
end
