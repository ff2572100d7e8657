defmodule FlyDeployAgent.FindingsTest do
  # It registers a name that the whole VM sees.
  use ExUnit.Case

  alias FlyDeployAgent.{Findings, Target}

  defmodule Server do
    use GenServer
    def start_link(arg), do: GenServer.start_link(__MODULE__, arg)
    def init(arg), do: {:ok, arg}
    def ask(pid), do: GenServer.call(pid, :ask)
  end

  defmodule Callbacks do
    use GenServer
    def init(arg), do: {:ok, arg}
  end

  defp target(module, units \\ nil),
    do: %Target{pid: self(), module: module, kind: :gen_server, units: units || [{module, 1}]}

  test "who calls functions of a module that migrates runs the new code already" do
    assert [
             %{name: "calls_in_new_code", severity: :info, subject: "FlyDeployAgent.FindingsTest.Server"} =
               found
           ] = Findings.window([target(Server), target(Server), target(Callbacks)], false)

    assert found.detail =~ "callers of FlyDeployAgent.FindingsTest.Server.ask/1 run the new code already"
    # What OTP calls is nobody's client function; where nothing migrates, nothing is loaded early.
    assert Findings.window([target(Callbacks), target(Server, [])], false) == []
    assert [%{name: "skips_busy", severity: :info}] = Findings.window([], true)
  end

  test "whether open pages show the new code at once" do
    assert Findings.pages({0, false}) == []
    assert [%{name: "open_pages", subject: "open pages (3)", detail: at_once}] = Findings.pages({3, true})
    assert at_once =~ "show the new code at once, and keep their states"
    assert [%{severity: :info, detail: later}] = Findings.pages({3, false})
    assert later =~ "show the new code at their next event"
  end

  test "the library fly_deploy's poller blocks, where it runs" do
    # In a release all modules are loaded.
    Code.ensure_loaded!(FlyDeploy)
    assert Findings.release([]) == []
    Process.register(self(), FlyDeploy.Poller)
    assert [%{name: "poller_runs", severity: :block, subject: "FlyDeploy.Poller"}] = Findings.release([])
  end
end
