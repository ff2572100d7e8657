defmodule FlyDeploy.LagTest do
  use ExUnit.Case

  import ExUnit.CaptureIO

  alias FlyDeploy.{DeployLock, Lag}

  doctest DeployLock
  doctest FlyDeploy.HttpDate

  @image %{otp_app: :my_app, hot_ref: nil, version: nil, id: nil}
  @one %{hot_ref: "r/my-app:1", version: "1.0.1", id: "01AAA"}
  @two %{hot_ref: "r/my-app:2", version: "1.0.2", id: "01BBB"}

  # What is recorded, what the VM knows of the upgrade that it runs, the fingerprint of its code (nil where nobody is to look
  # at it), and the answer.
  @machines [
    {"the image's code", @one, %{}, "image", :behind},
    {"the image's code, in a record without fingerprint", Map.put(@one, :fingerprint, nil), %{}, nil,
     :behind},
    {"the upgrade, whatever was loaded by hand", @one, @one, nil, :none},
    {"the upgrade before", @two, @one, "one", :behind},
    {"a later one, which was not recorded", @one, @two, nil, :ahead},
    {"the same code from another image", @two, @one, "code", :none},
    {"the same code, loaded by a VM that knows nothing of it", @two, %{}, "code", :none},
    {"an upgrade whose id is not known", @two, %{@one | id: nil}, "one", :behind},
    {"an upgrade, where the record has no id", %{@two | id: nil}, @one, "one", :behind}
  ]

  test "whether a machine lags" do
    for {what, recorded, running, loaded, expected} <- @machines do
      recorded = Map.merge(%{tarball_url: "", sha256: "", size: 1, agent: nil, fingerprint: "code"}, recorded)

      fingerprint = fn -> loaded || flunk("the code of a machine that runs #{what} is looked at") end
      assert {what, Lag.of(recorded, Map.merge(@image, running), fingerprint)} == {what, expected}
    end
  end

  # Else a machine that caught up would be told to have other code than recorded.
  test "the fingerprint is the one that the console asks for" do
    System.put_env("RELEASE_ROOT", "/nowhere")
    on_exit(fn -> System.delete_env("RELEASE_ROOT") end)

    program =
      Enum.map_join(~w(hook.exs loaded.exs), "\n", &(__DIR__ |> Path.join("../../#{&1}") |> File.read!()))

    system =
      for {app, _, _} <- Application.loaded_applications(),
          FlyDeployAgent.Release.origin(app) != :library,
          do: app

    answer = capture_io(fn -> Code.eval_string(program, system: system) end)
    assert answer =~ "fingerprint=#{Lag.fingerprint()}\n"
  end

  test "a lock that nobody can read, or whose age is unknown, is held" do
    assert DeployLock.held?(%{body: "<html>", etag: nil, age_s: 9_999})
    assert DeployLock.held?(%{body: ~s({"locked_by": "ann"}), etag: nil, age_s: nil})
  end

  test "a lock of fly_deploy lives as long as its own times are apart" do
    lock = ~s({"locked_by": "ann", "locked_at": "2026-01-01T10:00:00Z", "expires_at": "2026-01-01T10:02:00Z"})
    assert DeployLock.held?(%{body: lock, etag: nil, age_s: 119})
    refute DeployLock.held?(%{body: lock, etag: nil, age_s: 125})
    refute DeployLock.held?(%{body: ~s({"locked_by": "ann"}), etag: nil, age_s: 305})
  end
end
