defmodule FlyDeployAgent.FindingsTest do
  # It registers a name that the whole VM sees.
  use ExUnit.Case

  alias FlyDeployAgent.Findings

  test "the library fly_deploy's poller blocks, where it runs" do
    # In a release all modules are loaded.
    Code.ensure_loaded!(FlyDeploy)
    assert Findings.release([]) == []
    Process.register(self(), FlyDeploy.Poller)
    assert [%{name: "poller_runs", severity: :block, subject: "FlyDeploy.Poller"}] = Findings.release([])
  end
end
