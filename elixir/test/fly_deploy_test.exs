defmodule FlyDeployTest do
  use ExUnit.Case

  import ExUnit.CaptureLog

  alias FlyDeploy.{Events, Hook, Version}

  doctest FlyDeploy

  # As a release does at its start: the fingerprint is over what is loaded.
  setup_all do
    for module <- Application.spec(:fly_deploy, :modules), do: Code.ensure_loaded!(module)
    :ok
  end

  setup do
    on_exit(fn ->
      for key <- [:running, :hook, :reads, :upgrade_started], do: Application.delete_env(:fly_deploy, key)
    end)
  end

  # As flydeploy's agent tells it.
  defp ended(outcome) do
    Events.upgrade_ended(%{
      outcome: outcome,
      otp_app: :fly_deploy,
      version: "1.2.4",
      hot_ref: "registry.fly.io/my-app:new",
      modules: 3,
      processes: 2_000,
      suspended_us: 41_000,
      failed: 2
    })
  end

  describe "startup_reapply_current" do
    test "does nothing outside of Fly, silently" do
      assert capture_log([level: :info], fn ->
               assert FlyDeploy.startup_reapply_current(:fly_deploy) == :ok
             end) == ""

      assert %{hot_ref: nil, version: nil} = FlyDeploy.current_vsn()
    end

    # flydeploy asks for it, since a release that has the package need not call it.
    test "is remembered, and how it ended, for each application" do
      assert Hook.calls() == %{}
      ended(:committed)
      assert Hook.calls() == %{}
      FlyDeploy.startup_reapply_current(:fly_deploy)
      Hook.note(:other, :failed, "its bucket answered 403")

      assert Hook.calls() == %{
               fly_deploy: {:none, "this is not a release"},
               other: {:failed, "its bucket answered 403"}
             }
    end

    # By the image's own hook the machine boots again, whatever an upgrade brings.
    test "notes down what it can read in current.json, unless it came with an upgrade" do
      Application.delete_env(:fly_deploy, :reads)
      ended(:committed)
      FlyDeploy.startup_reapply_current(:fly_deploy)
      assert Application.get_env(:fly_deploy, :reads) == nil
      Application.delete_env(:fly_deploy, :running)
      FlyDeploy.startup_reapply_current(:fly_deploy)
      assert Application.get_env(:fly_deploy, :reads) == :names
      told = __DIR__ |> Path.join("../hook.exs") |> File.read!() |> Code.eval_string() |> elem(1)
      assert {"reads", "names"} in told[:keys]
    end

    # By a name alone an upgrade is recorded for those only whose hook can read it, or that have none at all (engine/deploy/ledger.go).
    test "of a package that an upgrade has dropped, the image's own counts, and nothing is known of it" do
      text = __DIR__ |> Path.join("../hook.exs") |> File.read!()
      state = fn text -> text |> Code.eval_string() |> elem(1) |> Keyword.fetch!(:hook) end
      dropped = String.replace(text, "FlyDeploy", "FlyDeployDropped")
      assert state.(text) == "uncalled"
      assert state.(dropped) == "unknown"
      assert state.(String.replace(dropped, ":fly_deploy", ":fly_deploy_dropped")) == "absent"
    end

    test "keeps no application from starting, whatever it is configured with" do
      environment(%{"RELEASE_ROOT" => "/nowhere", "FLY_IMAGE_REF" => "registry.fly.io/a:1"})
      Application.put_env(:fly_deploy, :aws_region, :not_a_string)
      Application.put_env(:fly_deploy, :aws_access_key_id, "id")
      Application.put_env(:fly_deploy, :aws_secret_access_key, "secret-to-keep")
      Application.put_env(:fly_deploy, :bucket, :not_a_string)

      on_exit(fn ->
        for key <- [:aws_region, :aws_access_key_id, :aws_secret_access_key, :bucket],
            do: Application.delete_env(:fly_deploy, key)
      end)

      log = capture_log(fn -> assert FlyDeploy.startup_reapply_current(:fly_deploy) == :ok end)
      assert log =~ "FlyDeploy could not reapply the hot upgrade: "
      refute log =~ "secret-to-keep"
      assert %{fly_deploy: {:failed, text}} = Hook.calls()
      assert log =~ text
    end
  end

  describe "startup_reapply_current that is called wrongly" do
    test "keeps no application from starting, and says what to do" do
      for {args, what} <- [
            {["my_app"], ~S(with "my_app", which is no atom)},
            {[%{otp_app: :my_app}], "which is no atom"},
            {[:my_app, %{timeout: 5_000}], "with options that are no keyword list"},
            {[:my_app, 5_000], "with options that are no keyword list"}
          ] do
        log = capture_log(fn -> assert apply(FlyDeploy, :startup_reapply_current, args) == :ok end)
        assert log =~ "[error]"
        assert log =~ what
        assert log =~ "call FlyDeploy.startup_reapply_current(:my_app)"
        assert Hook.calls() == %{}
      end
    end
  end

  # As fly_deploy's README of today has it.
  describe "as a child" do
    test "reapplies before the children that stand below it, and stays out of the tree" do
      test = self()

      see = fn ->
        send(test, {:started, Hook.calls()})
        :ignore
      end

      {:ok, supervisor} =
        Supervisor.start_link(
          [
            {FlyDeploy, otp_app: :fly_deploy, poll_interval: 500, suspend_timeout: 15_000},
            %{id: :next, start: {:erlang, :apply, [see, []]}}
          ],
          strategy: :one_for_one
        )

      assert_receive {:started, %{fly_deploy: {:none, "this is not a release"}}}
      assert %{base_image_ref: _, hot_ref: nil, version: nil} = FlyDeploy.current_vsn()
      assert {FlyDeploy, :undefined, :worker, [FlyDeploy]} in Supervisor.which_children(supervisor)
    end

    test "does nothing where start/2 has called startup_reapply_current, nor when it is started again" do
      Hook.note(:fly_deploy, :reapplied, "hot upgrade 1.2.4 (3 modules)")
      assert FlyDeploy.start_link(otp_app: :fly_deploy) == :ignore
      assert Hook.calls() == %{fly_deploy: {:reapplied, "hot upgrade 1.2.4 (3 modules)"}}
    end

    test "of no application, or in blue-green mode, it is refused, and says why" do
      assert_raise ArgumentError, ~r/needs the name of the application/, fn -> FlyDeploy.child_spec([]) end

      assert_raise ArgumentError, ~r/fly deploy --strategy bluegreen/, fn ->
        FlyDeploy.child_spec(otp_app: :my_app, mode: :blue_green)
      end
    end
  end

  describe "current_vsn" do
    test "tells the code by its fingerprint, and the upgrade that it came by" do
      assert FlyDeploy.current_vsn() == nil
      Version.start(:fly_deploy)

      assert %{hot_ref: nil, version: nil, fingerprint: <<fingerprint::binary-size(12)>>} =
               FlyDeploy.current_vsn()

      ended(:committed)

      assert %{hot_ref: "registry.fly.io/my-app:new", version: "1.2.4", fingerprint: ^fingerprint} =
               FlyDeploy.current_vsn()
    end

    test "the fingerprint is of the loaded code, modules that came later included" do
      Version.start(:fly_deploy)
      before = FlyDeploy.current_vsn().fingerprint
      file = :code.which(FlyDeploy) |> Path.dirname() |> Path.join("Elixir.FlyDeployTest.Later.beam")
      [{module, beam}] = Code.compile_string("defmodule FlyDeployTest.Later do\nend")
      {:module, ^module} = :code.load_binary(module, String.to_charlist(file), beam)

      on_exit(fn ->
        :code.purge(module)
        :code.delete(module)
      end)

      assert FlyDeploy.current_vsn().fingerprint != before
    end

    test "an upgrade that failed leaves what was" do
      ended(:committed)
      ended(:rolled_back)
      assert %{version: "1.2.4"} = FlyDeploy.current_vsn()
    end
  end

  describe "subscribe" do
    test "tells of an upgrade that is complete" do
      {:ok, _} = FlyDeploy.subscribe()
      ended(:committed)

      assert_receive {:fly_deploy, :hot_upgrade_complete, info}

      assert info == %{
               app: :fly_deploy,
               version: "1.2.4",
               hot_ref: "registry.fly.io/my-app:new",
               modules: 3,
               processes: 2_000,
               suspended_us: 41_000,
               modules_reloaded: 3,
               processes_upgraded: 1_998,
               processes_failed: 2,
               duration_ms: 41
             }
    end

    test "tells of the start, without what signs the URL, and from there on counts the time" do
      {:ok, _} = FlyDeploy.subscribe()

      FlyDeployAgent.Package.started(%{
        otp_app: :fly_deploy,
        version: "1.2.4",
        source_image: "registry.fly.io/my-app:new",
        url: "https://fly.storage.tigris.dev/mine/releases/a-1.2.4.tar.gz?X-Amz-Signature=secret"
      })

      assert_receive {:fly_deploy, :hot_upgrade_started, info}

      assert info == %{
               app: :fly_deploy,
               version: "1.2.4",
               hot_ref: "registry.fly.io/my-app:new",
               tarball_url: "https://fly.storage.tigris.dev/mine/releases/a-1.2.4.tar.gz"
             }

      # As if it had begun a minute ago.
      Application.put_env(:fly_deploy, :upgrade_started, System.monotonic_time(:millisecond) - 60_000)
      ended(:rolled_back)
      assert_receive {:fly_deploy, :hot_upgrade_failed, %{app: :fly_deploy, duration_ms: ms}}
      assert ms >= 60_000
      ended(:committed)
      assert_receive {:fly_deploy, :hot_upgrade_complete, %{duration_ms: 41}}
    end

    test "tells of an upgrade that failed, and why" do
      {:ok, _} = FlyDeploy.subscribe()
      ended(:rolled_back)

      assert_receive {:fly_deploy, :hot_upgrade_failed,
                      %{
                        reason: :rolled_back,
                        version: "1.2.4",
                        app: :fly_deploy,
                        modules_reloaded: 0,
                        processes_upgraded: 0,
                        processes_failed: 2
                      }}
    end

    test "twice has no effect" do
      {:ok, keeper} = FlyDeploy.subscribe()
      {:ok, ^keeper} = FlyDeploy.subscribe()
      ended(:committed)
      assert_receive {:fly_deploy, _, _}
      refute_received {:fly_deploy, _, _}
    end
  end

  defp environment(variables) do
    old = Map.new(variables, fn {name, _} -> {name, System.get_env(name)} end)
    System.put_env(variables)

    on_exit(fn ->
      for {name, value} <- old, do: if(value, do: System.put_env(name, value), else: System.delete_env(name))
    end)
  end
end
