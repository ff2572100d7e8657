Code.require_file("bucket.exs", __DIR__)

defmodule FlyDeploy.BootCountTest do
  use ExUnit.Case

  import ExUnit.CaptureLog

  alias FlyDeploy.{BootCount, Json, Preparation, Survival, TestBucket}

  doctest BootCount

  @id "01K93QXXXXXXXXXXXXXXXXXXXX"
  @key "releases/my_app-results/#{@id}/boots-m1.json"

  # A bucket that keeps what is written into it; `:mute` answers nothing, `:lost` does what it is asked to, and does not answer what
  # writes, `:read_only` refuses what writes.
  setup do
    objects = start_supervised!({Agent, fn -> %{mode: :open, writes: 0} end}, id: :objects)
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)
    start_supervised!({Task, fn -> accept(listener, objects) end}, id: :bucket)

    variables = %{
      "AWS_ACCESS_KEY_ID" => "id",
      "AWS_SECRET_ACCESS_KEY" => "secret-to-keep",
      "AWS_ENDPOINT_URL_S3" => "http://127.0.0.1:#{port}",
      "BUCKET_NAME" => "bucket"
    }

    System.put_env(variables)
    on_exit(fn -> for {name, _} <- variables, do: System.delete_env(name) end)
    {:ok, settings} = FlyDeploy.Settings.load(variables, [])
    # One that has counted nothing yet.
    :ok = Supervisor.terminate_child(FlyDeploy.Supervisor, Survival)
    on_exit(fn -> {:ok, _} = Supervisor.start_child(FlyDeploy.Supervisor, Survival) end)
    start_supervised!(Survival)
    %{objects: objects, settings: settings}
  end

  defp accept(listener, objects) do
    with {:ok, socket} <- :gen_tcp.accept(listener) do
      serve(socket, objects)
      accept(listener, objects)
    end
  end

  defp serve(socket, objects) do
    # A client that has given up has closed it.
    with {:ok, request} <- :gen_tcp.recv(socket, 0),
         true <- Agent.get(objects, & &1.mode) != :mute do
      [method, "/bucket/" <> key | _] = String.split(request, " ")
      if method != "GET", do: Agent.update(objects, &%{&1 | writes: &1.writes + 1})
      {status, body} = answer(objects, method, key, TestBucket.body(request, socket))

      if method == "GET" or Agent.get(objects, & &1.mode) != :lost,
        do: :gen_tcp.send(socket, "HTTP/1.1 #{status} X\r\ncontent-length: #{byte_size(body)}\r\n\r\n#{body}")

      :gen_tcp.close(socket)
    end
  end

  defp answer(objects, method, key, body) do
    case {method, Agent.get(objects, & &1)} do
      {"GET", %{^key => object}} -> {200, object}
      {"GET", _} -> {404, ""}
      {_, %{mode: :read_only}} -> {403, "<Error><Code>AccessDenied</Code></Error>"}
      {"PUT", _} -> {200, Agent.update(objects, &Map.put(&1, key, body)) && ""}
      {"DELETE", _} -> {204, Agent.update(objects, &Map.delete(&1, key)) && ""}
    end
  end

  defp mode(objects, mode), do: Agent.update(objects, &Map.put(&1, :mode, mode))
  defp kept(objects), do: Agent.get(objects, & &1[@key])

  defp boots(objects) do
    with text when text != nil <- kept(objects) do
      {:ok, %{"boots" => boots}} = Json.decode(text)
      boots
    end
  end

  # One boot: gives whether the upgrade is loaded, and its count.
  defp boot(settings, more \\ %{}) do
    upgrade = Map.merge(%{id: @id, version: "2.0.0", sha256: "ab12"}, more)
    {what, count} = settings |> BootCount.read(:my_app, upgrade, "m1") |> BootCount.decide()
    {what, count, settings |> BootCount.keep(count) |> BootCount.kept?()}
  end

  defp booted(settings), do: settings |> boot() |> elem(0)

  test "after two boots that have not lasted the image is booted, and after one of those the upgrade has its next chance",
       %{settings: settings, objects: objects} do
    assert for(_ <- 1..6, do: booted(settings)) == [:load, :load, :image, :load, :load, :image]
    assert boots(objects) == 3
  end

  test "as long as the image's boots last, the upgrade is not loaded", %{settings: settings, objects: objects} do
    for _ <- 1..2, do: booted(settings)

    for _ <- 1..3 do
      assert {:image, count, true} = boot(settings)
      assert BootCount.lasted(settings, count) == :ok
      assert boots(objects) == 2
    end
  end

  test "one that has lasted leaves nothing, and one that was ended in good order does not count", %{
    settings: settings,
    objects: objects
  } do
    {:load, first, true} = boot(settings)
    assert BootCount.forget(settings, first) == :ok
    refute kept(objects)
    booted(settings)
    {:load, second, true} = boot(settings)
    assert BootCount.forget(settings, second) == :ok
    assert boots(objects) == 1
    {:load, second, true} = boot(settings)
    assert BootCount.lasted(settings, second) == :ok
    refute kept(objects)
  end

  test "other bytes are counted anew, and so are other deploys of the same", %{settings: settings} do
    for _ <- 1..2, do: booted(settings)
    assert {:load, %{boots: 1}, true} = boot(settings, %{id: "01K94"})
    assert {:load, %{boots: 1}, true} = boot(settings, %{sha256: "cd34"})
  end

  test "without an id, without a machine's name or with one that is no part of a key nobody counts", %{
    settings: settings
  } do
    for {id, machine} <- [{nil, "m1"}, {@id, nil}, {@id, "../m1"}],
        do: refute(BootCount.read(settings, :my_app, %{id: id, version: "2", sha256: "ab"}, machine))

    assert BootCount.decide(nil) == {:load, nil}
    refute settings |> BootCount.keep(nil) |> BootCount.kept?()
  end

  test "a bucket that cannot be written, or does not answer, keeps no upgrade from being loaded", %{
    settings: settings,
    objects: objects
  } do
    mode(objects, :read_only)
    log = capture_log(fn -> assert {:load, %{boots: 1}, false} = boot(settings) end)
    assert log =~ "cannot count this boot in the bucket (127.0.0.1 answered 403 AccessDenied to a PUT)"
    mode(objects, :mute)
    log = capture_log(fn -> assert {:load, nil, false} = boot(settings) end)
    assert log =~ "cannot count this boot in the bucket (no answer within 2000 ms)"
    refute log =~ "secret-to-keep"
  end

  describe "whether a boot has lasted is found out" do
    setup do
      stop_supervised(Survival)
      :ok
    end

    test "once its time is over, also where the bucket does not take that at first", %{
      settings: settings,
      objects: objects
    } do
      start_supervised!({Survival, lasts_ms: 50})
      assert {:load, count, true} = boot(settings)
      mode(objects, :read_only)
      Survival.watch(count)
      Survival.loading(count.id)
      await(fn -> :sys.get_state(Survival).counts[@key].tries > 1 end)
      assert boots(objects) == 1
      mode(objects, :open)
      await(fn -> kept(objects) == nil end)
      await(&settled?/0)
    end

    test "by a VM that stops in good order, and not by one that crashes", %{
      settings: settings,
      objects: objects
    } do
      for {stopping, left} <- [{false, 1}, {true, 1}, {true, nil}] do
        start_supervised!({Survival, stopping?: fn -> stopping end})
        if left == nil, do: Agent.update(objects, &Map.delete(&1, @key))
        assert {:load, count, true} = boot(settings)
        Survival.watch(count)
        :ok = stop_supervised(Survival)
        assert boots(objects) == left
      end
    end

    test "without that nobody counts", %{settings: settings} do
      assert boot(settings) == {:load, nil, false}
    end

    test "of every application that counts, and once in each VM", %{settings: settings, objects: objects} do
      start_supervised!(Survival)
      {:load, mine, true} = boot(settings)
      other = %{mine | key: "releases/other-results/01K94/boots-m1.json", id: "01K94"}
      settings |> BootCount.keep(other) |> BootCount.kept?()
      for count <- [mine, other], do: Survival.watch(count)
      for count <- [mine, other], do: Survival.loading(count.id)
      assert boot(settings) == {:load, nil, false}
      for count <- [mine, other], do: minute_over(count.key)
      await(fn -> Agent.get(objects, &(not is_map_key(&1, mine.key) and not is_map_key(&1, other.key))) end)
      # Also later than that.
      await(&settled?/0)
      assert boot(settings) == {:load, nil, false}
    end

    test "where it lasted without the upgrade, that says nothing of the upgrade", %{
      settings: settings,
      objects: objects
    } do
      start_supervised!(Survival)
      booted(settings)
      {:load, second, true} = boot(settings)
      Survival.watch(second)
      minute_over(@key)
      await(fn -> boots(objects) == 1 end)
    end
  end

  describe "the hook" do
    setup %{objects: objects} do
      image = "registry.fly.io/my-app:deployment-01A"
      variables = %{"FLY_IMAGE_REF" => image, "FLY_MACHINE_ID" => "m1", "RELEASE_ROOT" => "/nowhere"}
      System.put_env(variables)
      Application.put_env(:fly_deploy, :image_code, "")

      on_exit(fn ->
        for {name, _} <- variables, do: System.delete_env(name)
        for name <- [:image_code, :gave_up], do: Application.delete_env(:fly_deploy, name)
      end)

      tarball = "no tarball"

      upgrade = %{
        version: "2.0.0",
        source_image_ref: "registry.fly.io/my-app:deployment-01B",
        tarball_url: "https://s3/bucket/releases/my_app-2.0.0.tar.gz",
        sha256: :sha256 |> :crypto.hash(tarball) |> Base.encode16(case: :lower),
        size: byte_size(tarball),
        id: @id
      }

      current = FlyDeployAgent.Json.encode(%{image_ref: image, hot_upgrade: upgrade})

      Agent.update(
        objects,
        &Map.merge(&1, %{
          "releases/my_app-current.json" => current,
          "releases/my_app-2.0.0.tar.gz" => tarball
        })
      )

      # What `boots` boots have left.
      %{
        before: fn boots ->
          count = %{
            key: @key,
            machine: "m1",
            id: @id,
            version: "2.0.0",
            sha256: upgrade.sha256,
            boots: boots,
            gave_up: false
          }

          Agent.update(objects, &Map.put(&1, @key, BootCount.encode(count)))
        end
      }
    end

    defp prepare, do: Preparation.run(:my_app, folder(), fn _ -> :ok end)

    defp folder do
      dir = Path.join(System.tmp_dir!(), "fly_deploy-test-#{System.unique_integer([:positive])}")
      on_exit(fn -> File.rm_rf!(dir) end)
      dir
    end

    test "that is killed, or raises, once it has begun to count leaves no count behind", %{
      objects: objects,
      before: before
    } do
      for {kill, earlier} <- [{fn -> Process.exit(self(), :kill) end, 0}, {fn -> raise "a fault" end, 1}] do
        :ok = stop_supervised(Survival)
        start_supervised!(Survival)
        if earlier > 0, do: before.(earlier)

        tell = fn
          "extracting" <> _ -> await(fn -> boots(objects) == earlier + 1 end) && kill.()
          _ -> :ok
        end

        dir = folder()

        capture_log(fn ->
          {pid, monitor} = spawn_monitor(fn -> Preparation.run(:my_app, dir, tell) end)
          assert_receive {:DOWN, ^monitor, :process, ^pid, _}, 120_000
        end)

        minute_over(@key)
        await(fn -> boots(objects) == if(earlier > 0, do: earlier) end)
      end
    end

    test "takes back a count whose answer was lost", %{objects: objects} do
      mode(objects, :lost)
      log = capture_log(fn -> assert {:error, _no_tarball} = prepare() end)
      assert log =~ "cannot count this boot"
      assert boots(objects) == 1
      mode(objects, :open)
      minute_over(@key)
      await(fn -> kept(objects) == nil end)
    end

    test "does not count a second time in one VM", %{objects: objects, before: before} do
      before.(1)
      assert {:error, _no_tarball} = prepare()
      writes = Agent.get(objects, & &1.writes)
      assert {:error, _no_tarball} = prepare()
      assert {boots(objects), Agent.get(objects, & &1.writes)} == {1, writes}
    end

    test "that has given up does so again in the same VM", %{objects: objects, before: before} do
      before.(2)
      assert {:gave_up, text} = prepare()
      assert prepare() == {:gave_up, text}
      assert boots(objects) == 3
      # Another application's.
      FlyDeploy.Hook.give_up("01K94")
      assert FlyDeploy.Hook.gave_up?(@id)
      refute FlyDeploy.Hook.gave_up?(nil)
    end

    test "that could not write that it has given up does so later", %{objects: objects, before: before} do
      before.(2)
      mode(objects, :read_only)
      capture_log(fn -> assert {:gave_up, _} = prepare() end)
      mode(objects, :open)
      minute_over(@key)
      await(fn -> kept(objects) =~ ~s("boots":2,"gave_up":true) end)
    end
  end

  defp minute_over(key), do: send(Survival, {:lasted, key})

  defp settled?,
    do: Enum.all?(:sys.get_state(Survival).counts, fn {_, kept} -> kept.settled? end)

  defp await(fun), do: fun.() || (Process.sleep(5) && await(fun))
end
