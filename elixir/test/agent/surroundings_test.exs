Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.SurroundingsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Surroundings, Versions}

  @source """
  defmodule T.Pool do
    def size, do: config()[:size]
    def limits, do: Map.get(Application.get_env(:fly_deploy, :surroundings_limits), :most)
    defp config, do: Application.get_env(:fly_deploy, :surroundings_pool, [])
  end
  """

  # {what, edits, findings}
  @changes [
    {"nothing that matters", [{"config()[:size]", "config()[:size] || 1"}], []},
    {"a key that is there", [{"config()[:size]", "Keyword.fetch!(config(), :size)"}], []},
    {"a key that is not", [{"config()[:size]", "Keyword.fetch!(config(), :most)"}], ["the key :most"]},
    {"a key with a default", [{"config()[:size]", "Keyword.get(config(), :most, 1)"}], []},
    {"a key of a map",
     [
       {"Map.get(Application.get_env(:fly_deploy, :surroundings_limits), :most)",
        "Application.get_env(:fly_deploy, :surroundings_limits).least"}
     ], ["the key :least"]},
    {"another type", [{"config()[:size]", "Map.get(config(), :size)"}], ["a map"]},
    {"a setting that is not there",
     [{"get_env(:fly_deploy, :surroundings_limits)", "fetch_env!(:fly_deploy, :surroundings_none)"}],
     ["fetches the setting :surroundings_none"]}
  ]

  test "settings that the new code does not get on with" do
    Application.put_env(:fly_deploy, :surroundings_pool, size: 1)
    Application.put_env(:fly_deploy, :surroundings_limits, %{most: 1})

    for {what, edits, findings} <- @changes do
      new = Versions.edited(@source, edits)
      found = Surroundings.findings(Versions.pairs(Versions.beams(@source), Versions.beams(new)))

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for(_ <- findings, do: {"missing_setting", :warn})}

      for {f, evidence} <- Enum.zip(found, findings), do: assert(f.detail =~ evidence)
    end
  end
end
