Code.require_file("bucket.exs", __DIR__)

defmodule FlyDeploy.LookTest do
  use ExUnit.Case

  import FlyDeploy.TestBucket, only: [put: 3, asked: 1]

  alias FlyDeploy.{AgentCode, Look, SelfUpgrade, TestBucket, Version}
  alias FlyDeployAgent.Json

  doctest AgentCode

  @image "registry.fly.io/my-app:deployment-01A"
  @current "releases/my_app-current.json"
  @lock "releases/my_app-deploy.lock"
  @agent "releases/my_app-agent-0123.beams"

  # Behaves as an agent does towards its console, and ends as the test says. What it was told is its folder's contents.
  @fake """
  defmodule FlyDeployAgent_test do
    def start(encoded, sweep) do
      order = encoded |> Base.decode64!() |> :zlib.uncompress() |> URI.decode_query()
      script = Application.get_env(:fly_deploy, :fake_agent)
      dir = Path.join(System.tmp_dir!(), "flydeploy-" <> order["id"])
      File.mkdir!(dir)
      starter = self()
      agent = spawn(fn ->
        true = Process.register(self(), :flydeploy_agent)
        send(script.test, {:ordered, order})
        staged = Map.merge(%{state: "staged", findings: []}, script.staged)
        states = %{"arm" => %{state: "armed"}, "commit" => script.ended, "abort" => %{state: "aborted"}}
        write(dir, staged)
        send(starter, :staged)
        run(dir, states, script)
      end)
      receive do :staged -> :ok end
      sweep.(agent, agent, dir)
      {"started", FlyDeployAgent.Json.encode(%{dir: dir})}
    end

    defp run(dir, states, script) do
      case Enum.find(Map.keys(states), &File.dir?(Path.join(dir, &1))) do
        nil -> if File.dir?(Path.join(dir, "finish")), do: send(script.test, :finished), else: wait(dir, states, script)
        command ->
          send(script.test, {:command, command})
          write(dir, states[command])
          run(dir, Map.delete(states, command), script)
      end
    end

    defp wait(dir, states, script) do
      Process.sleep(5)
      run(dir, states, script)
    end

    defp write(dir, status) do
      File.write!(Path.join(dir, "status.new"), FlyDeployAgent.Json.encode(status))
      File.rename!(Path.join(dir, "status.new"), Path.join(dir, "status"))
    end
  end
  """

  setup_all do
    [{module, beam}] = Code.compile_string(@fake)
    :code.purge(module)
    :code.delete(module)
    term = {:flydeploy_agent, 1, module, [{module, beam}]}
    %{compiled: :erlang.term_to_binary(term, [:compressed])}
  end

  setup %{compiled: compiled} do
    %{objects: objects, asked: asked, port: port} = TestBucket.start(%{@agent => compiled})

    variables = %{
      "AWS_ACCESS_KEY_ID" => "id",
      "AWS_SECRET_ACCESS_KEY" => "secret-to-keep",
      "AWS_ENDPOINT_URL_S3" => "http://127.0.0.1:#{port}",
      "BUCKET_NAME" => "bucket",
      "FLY_IMAGE_REF" => @image,
      "FLY_MACHINE_ID" => "m1",
      "RELEASE_ROOT" => "/nowhere"
    }

    System.put_env(variables)
    Version.start(:my_app)
    script(%{})

    on_exit(fn ->
      await(fn -> Process.whereis(:flydeploy_agent) == nil and not loaded?() end)
      for {name, _} <- variables, do: System.delete_env(name)
      for key <- [:running, :fake_agent], do: Application.delete_env(:fly_deploy, key)
    end)

    %{objects: objects, asked: asked}
  end

  # The bucket records `upgrade` for the fleet.
  defp record(objects, more \\ %{}) do
    agent = Agent.get(objects, & &1[@agent])

    upgrade =
      Map.merge(
        %{
          version: "1.0.2",
          source_image_ref: "registry.fly.io/my-app:deployment-01B",
          tarball_url: "https://s3/bucket/releases/my_app-1.0.2.tar.gz",
          sha256: "ab12",
          size: 4_000,
          id: "01K93QXXXXXXXXXXXXXXXXXXXX",
          agent: %{
            url: "https://s3/bucket/" <> @agent,
            sha256: :sha256 |> :crypto.hash(agent) |> Base.encode16(case: :lower),
            size: byte_size(agent),
            otp: System.otp_release(),
            elixir: System.version()
          }
        },
        more
      )

    put(objects, @current, Json.encode(%{image_ref: @image, hot_upgrade: upgrade}))
  end

  defp script(about) do
    ended = %{state: "committed", suspended: 12, suspended_us: 4_200}
    script = Map.merge(%{test: self(), staged: %{}, ended: ended}, about)
    Application.put_env(:fly_deploy, :fake_agent, script)
  end

  # The agent of an earlier look may take a moment to end.
  defp look(known \\ %{}) do
    await(fn -> not loaded?() end)
    Look.run(Map.merge(%{etag: nil, tries: %{}}, known))
  end

  test "a machine that lags is upgraded with the orders of a console", %{objects: objects, asked: asked} do
    record(objects)
    assert {:caught_up, "hot upgrade 1.0.2 (12 processes suspended for 4.2 ms)", etag} = look()
    assert asked(asked) == [@lock, @current, @agent]
    assert_received {:ordered, order}
    assert %{"sha256" => "ab12", "size" => "4000", "otp_app" => "my_app", "version" => "1.0.2"} = order
    assert order["signed_by"] == ""
    assert order["id"] =~ ~r/\A01K93QXXXXXXXXXXXXXXXXXXXX-[0-9a-f]{32}\z/
    assert order["owner"] =~ "machine m1"
    assert URI.parse(order["url"]).path == "/bucket/releases/my_app-1.0.2.tar.gz"
    assert order["url"] =~ "X-Amz-Signature="
    assert_received {:command, "arm"}
    assert_received {:command, "commit"}
    assert_receive :finished
    refute_received {:command, "abort"}
    # Nothing is left of it.
    await(fn ->
      not loaded?() and not File.exists?(Path.join(System.tmp_dir!(), "flydeploy-" <> order["id"]))
    end)

    # Nobody writes the record again: there is nothing to compare.
    assert look(%{etag: etag}) == :unchanged
  end

  defp await(fun) do
    if not fun.() do
      Process.sleep(5)
      await(fun)
    end
  end

  defp loaded?, do: :code.is_loaded(FlyDeployAgent_test) != false

  test "what was applied must be what is recorded", %{objects: objects} do
    record(objects, %{fingerprint: "another"})
    assert {:failed, text, _, "ab12"} = look()
    assert text =~ "but the code that is loaded is not the recorded one"
    record(objects, %{fingerprint: FlyDeploy.Lag.fingerprint()})
    assert {:settled, "this machine runs what is recorded" <> _, _} = look()
  end

  test "nothing is done while a deploy is under way", %{objects: objects, asked: asked} do
    record(objects)
    put(objects, @lock, ~s({"locked_by": "ann", "own_time_ms": 120000}))
    assert look() == {:wait, "a deploy is under way"}
    assert asked(asked) == [@lock]
    put(objects, @lock, ~s({"locked_by": "ann", "own_time_ms": 120000, "released": true}))
    assert {:caught_up, _, _} = look()
  end

  test "nothing is done where nothing is to be done", %{objects: objects, asked: asked} do
    assert look() == {:settled, "there has been no hot upgrade", nil}
    record(objects)
    Version.upgraded("registry.fly.io/my-app:deployment-01B", "1.0.2", nil)
    assert {:settled, "this machine runs what is recorded" <> _, etag} = look()
    assert etag != nil
    System.put_env("FLY_IMAGE_REF", "registry.fly.io/my-app:deployment-01C")
    assert {:settled, "what is recorded belongs to another image", _} = look()
    put(objects, @current, "<html>")
    assert {:settled, "current.json is damaged" <> _, _} = look()
    Application.delete_env(:fly_deploy, :running)
    assert {:settled, "the startup hook was not called" <> _, nil} = look()
    refute @agent in asked(asked)
  end

  test "what somebody would have to confirm is not done", %{objects: objects} do
    record(objects)

    for severity <- ~w(refuse block) do
      finding = %{
        severity: severity,
        name: "supervisor_changed",
        subject: "My.Sup",
        detail: "has other children"
      }

      script(%{staged: %{findings: [%{finding | severity: "info"}, finding]}})
      assert {:failed, text, _, "ab12"} = look()
      assert text =~ "must be confirmed by somebody: supervisor_changed, My.Sup has other children"
      assert_received {:command, "abort"}
      refute_received {:command, "arm"}
    end

    script(%{staged: %{findings: [%{severity: "warn", name: "x", subject: "", detail: ""}]}})
    assert {:caught_up, _, _} = look()
  end

  test "what was rolled back is not tried again", %{objects: objects} do
    record(objects)
    failures = [%{module: "My.Server", exception: "(FunctionClauseError)"}]
    script(%{ended: %{state: "rolled_back", failures: failures}})
    assert {:failed, text, etag, "ab12"} = look()
    assert text == "hot upgrade 1.0.2 was rolled back: My.Server (FunctionClauseError)"
    assert etag != nil
    assert_received {:ordered, _}
    assert {:failed, ^text, ^etag, "ab12"} = look(%{tries: %{"ab12" => text}})
    refute_received {:ordered, _}
  end

  test "what passes is tried three times", %{objects: objects} do
    record(objects)
    script(%{ended: %{state: "failed", error: %{name: "download_failed", what: "s3 answered 503"}}})
    assert look() == {:retry, "hot upgrade 1.0.2: s3 answered 503", "ab12"}
    assert {:retry, _, "ab12"} = look(%{tries: %{"ab12" => 1}})
    assert {:failed, "hot upgrade 1.0.2: s3 answered 503", _, "ab12"} = look(%{tries: %{"ab12" => 2}})
    script(%{ended: %{state: "failed", error: %{name: "bad_beam", what: "A is no .beam file"}}})
    assert {:failed, "hot upgrade 1.0.2 failed: A is no .beam file", _, "ab12"} = look()
  end

  test "a console that takes over has precedence", %{objects: objects} do
    record(objects)
    script(%{ended: %{state: "aborted"}})
    assert {:wait, "a deploy came in between: aborted"} = look()
  end

  test "another agent is left alone, and its modules, too", %{objects: objects, compiled: compiled} do
    record(objects)
    {:flydeploy_agent, 1, main, modules} = :erlang.binary_to_term(compiled)
    other = spawn(fn -> Process.sleep(:infinity) end)
    Process.register(other, :flydeploy_agent)
    assert {:wait, "another agent is at work in this VM"} = look()
    refute loaded?()
    assert {:busy, _} = AgentCode.start(%{main: main, modules: modules}, "")
    Process.exit(other, :kill)
    refute_received {:ordered, _}
  end

  test "an agent that is not the recorded one is not loaded", %{objects: objects} do
    record(objects)
    compiled = Agent.get(objects, & &1[@agent])

    for {bytes, text} <- [
          {String.replace_suffix(compiled, binary_part(compiled, byte_size(compiled), -1), <<0>>), "sha256"},
          {binary_part(compiled, 0, 100), "100 bytes instead of"},
          {compiled <> "x", "larger than"}
        ] do
      put(objects, @agent, bytes)
      assert {:retry, why, "ab12"} = look()
      assert why =~ text
      refute loaded?()
    end

    for {term, text} <- [
          {{:flydeploy_agent, 2, FlyDeployAgent_test, []}, "another form"},
          {{:flydeploy_agent, 1, FlyDeployAgent_test, [{String, "beam"}]}, "another form"},
          {:erlang.term_to_binary("x") <> "y", "another form"},
          {<<131, 250>>, "not an Erlang term"}
        ] do
      put(objects, @agent, if(is_tuple(term), do: :erlang.term_to_binary(term), else: term))
      record(objects)
      assert {:failed, why, _, "ab12"} = look()
      assert why =~ text
    end
  end

  test "an upgrade of an older flydeploy, and one for another OTP, wait for a restart", %{objects: objects} do
    record(objects, %{agent: nil})
    assert {:failed, "hot upgrade 1.0.2 was recorded by a flydeploy that leaves no" <> _, _, _} = look()
    upgrade = %{sha256: "", size: 1, url: "", otp: "99", elixir: System.version()}
    record(objects, %{agent: upgrade})
    assert {:failed, "the agent was compiled with" <> _, _, _} = look()
  end

  test "no secret is told", %{objects: objects} do
    record(objects, %{tarball_url: "https://s3/elsewhere/x"})
    told = inspect(look())
    put(objects, @current, "")
    told = told <> inspect(look())
    refute told =~ "secret-to-keep"
  end

  test "an upgrade whose agent is nowhere is retried", %{objects: objects} do
    record(objects)
    Agent.update(objects, &Map.delete(&1, @agent))
    assert {:retry, "the agent is not in the bucket", "ab12"} = look()
    assert {:refused, _} = SelfUpgrade.run(%{}, :my_app, %{agent: nil, version: "1"})
  end
end
