Code.require_file("windows.exs", __DIR__)

defmodule FlyDeployAgent.AppConfigTest do
  use ExUnit.Case

  alias FlyDeployAgent.{AppConfig, Commit, ConfigChange, ConfigFile, ConfigFindings, Windows}

  @moduletag :tmp_dir

  defmodule App do
    use Application
    def start(_, _), do: Supervisor.start_link([], strategy: :one_for_one)

    def config_change(changed, new, removed) do
      send(Application.get_env(:t_conf, :test), {:told, changed, new, removed})
      if new[:fails], do: raise("cannot")
    end
  end

  @provider "{config_provider_init, \#{'__struct__' => 'Elixir.Config.Provider', extra_config => [], providers => [PROVIDERS], validate_compile_env => COMPILE}}"
  @reader "{'Elixir.Config.Reader', {{system, <<\"RELEASE_ROOT\">>, <<\"/releases/VSN/runtime.exs\">>}, [{env, prod}, {target, host}, {imports, disabled}]}}"

  # A release that runs version 1, whose application is :t_conf; `boot` is what it has of its configuration, beside its own.
  setup %{tmp_dir: dir} do
    root = Path.join(dir, "running")
    app(Path.join(root, "lib/t_conf-1"), "1", [])
    Code.append_path(Path.join(root, "lib/t_conf-1/ebin"))
    System.put_env(%{"RELEASE_ROOT" => root, "RELEASE_VSN" => "1", "T_SECRET" => "s3cret-of-the-machine"})
    :ok = Application.load(:t_conf)

    on_exit(fn ->
      Application.stop(:t_conf)
      Application.unload(:t_conf)
      for {key, _} <- Application.get_all_env(:t_conf), do: Application.delete_env(:t_conf, key)
      Application.delete_env(:flydeploy, :config)
      Application.delete_env(:flydeploy, :untold)
      Code.delete_path(Path.join(root, "lib/t_conf-1/ebin"))
      for name <- ~w(RELEASE_ROOT RELEASE_VSN T_SECRET), do: System.delete_env(name)
    end)

    %{root: root, new: Path.join(dir, "new")}
  end

  defp app(dir, vsn, env) do
    write(dir, %{
      "ebin/t_conf.app" =>
        :io_lib.format("~tp.~n", [
          {:application, :t_conf,
           vsn: String.to_charlist(vsn),
           modules: [],
           applications: [:kernel, :stdlib],
           env: env,
           mod: {App, []}}
        ])
    })
  end

  defp write(dir, files) do
    for {name, text} <- files do
      path = Path.join(dir, name)
      File.mkdir_p!(Path.dirname(path))
      File.write!(path, text)
    end
  end

  # The configuration of a release at `root`: settings in Erlang's syntax, and runtime.exs.
  defp release(root, vsn, settings, runtime, more \\ %{}) do
    provider =
      @provider
      |> String.replace("PROVIDERS", Map.get(more, :provider, @reader))
      |> String.replace("COMPILE", Map.get(more, :compile, "nil"))
      |> String.replace("VSN", vsn)

    write(root, %{
      "releases/#{vsn}/sys.config" => "%% coding: utf-8\n[#{settings}{elixir, [#{provider}]}].",
      "releases/#{vsn}/runtime.exs" => "import Config\n" <> runtime
    })
  end

  # The new one as it is extracted: its configuration is a file.
  defp extracted(new, settings, runtime, more \\ %{}) do
    built = new <> "-built"
    release(built, "2", settings, runtime, more)
    write(new, %{ConfigFile.path("2") => built |> ConfigFile.read("2") |> ConfigFile.encode()})
    app(Path.join(new, "lib/t_conf-2"), "2", Map.get(more, :env, []))
    # Every release has descriptions of applications that are not loaded.
    write(new, %{"lib/wx-2.2/ebin/wx.app" => "{application, wx, [{vsn, \"2.2\"}, {env, [{shown, 1}]}]}.\n"})
  end

  defp boot(settings) do
    Application.put_all_env(t_conf: [test: self()] ++ settings)
    {:ok, _} = Application.ensure_all_started(:t_conf)
  end

  defp code do
    {:ok, modules} = :application.get_key(:fly_deploy, :modules)
    {:ok, for(m <- modules, {^m, beam, _} <- [:code.get_object_code(m)], do: {m, beam})}
  end

  defp find(new), do: AppConfig.find(new, [], fn -> code() end)

  defp commit(found) do
    window = Windows.new(config: ConfigChange.both(found))
    {Windows.run(window), ConfigChange.tell(found)}
  end

  defp told(found),
    do: for(f <- ConfigFindings.all(found), do: {f.name, f.severity, f.subject <> ": " <> f.detail})

  test "what differs is told by its keys, put, and told to the application", %{root: root, new: new} do
    release(root, "1", "{t_conf, [{color, red}, {size, 1}, {gone, 1}, {deep, [{a, 1}, {b, 1}]}]}, ", """
    config :t_conf, deep: [b: 2], secret: "old"
    """)

    extracted(
      new,
      "{t_conf, [{color, blue}, {size, 1}, {deep, [{a, 1}, {b, 1}]}]}, ",
      """
      config :t_conf, deep: [b: 3], secret: System.fetch_env!("T_SECRET"), vsn: to_string(Application.spec(:t_conf, :vsn)),
        place: System.fetch_env!("RELEASE_ROOT"), release: System.fetch_env!("RELEASE_VSN")
      """,
      %{env: [extra: 1]}
    )

    boot(color: :red, size: 5, gone: 1, deep: [a: 1, b: 2], secret: "old", by_itself: 1)
    assert {:ok, config} = found = find(new)

    assert [{"config_applied", :info, text}] = told(found)

    assert text ==
             ":t_conf: changes :color, :deep, :secret; adds :extra, :place, :release, :vsn; removes :gone, and calls FlyDeployAgent.AppConfigTest.App.config_change/3"

    # Nothing that is logged shows a value.
    refute inspect(config, limit: :infinity) =~ "s3cret"
    assert Application.get_env(:t_conf, :color) == :red

    assert {%{outcome: :committed}, []} = commit(found)
    env = Application.get_all_env(:t_conf)
    assert env[:color] == :blue and env[:deep] == [a: 1, b: 3] and env[:secret] == "s3cret-of-the-machine"
    assert env[:vsn] == "2" and env[:place] == root and env[:release] == "2" and env[:extra] == 1
    # What the application has set itself, and the release does not change, stays.
    assert env[:size] == 5 and env[:by_itself] == 1 and not Keyword.has_key?(env, :gone)
    assert_received {:told, changed, added, [:gone]}
    assert Enum.sort(Keyword.keys(changed)) == [:color, :deep, :secret] and changed[:color] == :blue
    assert Enum.sort(Keyword.keys(added)) == [:extra, :place, :release, :vsn]

    # A second time there is nothing to apply.
    assert {:ok, %{keys: []}} = find(new)

    # Without a configuration of its own, a release has that of the image: it is taken back.
    assert AppConfig.applied?()
    assert {:ok, %{keys: keys}} = back = find(root)

    assert {:t_conf, :color, :changed} in keys and {:t_conf, :gone, :new} in keys and
             {:t_conf, :place, :removed} in keys

    assert {%{outcome: :committed}, []} = commit(back)
    env = Application.get_all_env(:t_conf)

    assert env[:color] == :red and env[:deep] == [a: 1, b: 2] and env[:gone] == 1 and
             not Keyword.has_key?(env, :place)

    refute AppConfig.applied?()
  end

  test "a window that goes back takes it back", %{root: root, new: new} do
    release(root, "1", "{t_conf, [{color, red}, {gone, 1}]}, ", "")
    extracted(new, "{t_conf, [{color, blue}, {added, 1}]}, ", "")
    boot(color: :red, gone: 1)
    found = find(new)
    before = Enum.sort(Application.get_all_env(:t_conf))
    # Nobody is there to swap the code.
    window = Windows.new(config: ConfigChange.both(found), guardian: spawn(fn -> :ok end))
    assert %{outcome: :failed, failures: [%{reason: "guardian_died"}]} = Commit.run(window)
    assert Enum.sort(Application.get_all_env(:t_conf)) == before
    refute AppConfig.applied?()
    refute_received {:told, _, _, _}

    # So does the guardian of an agent that dies when it has been put.
    window = Windows.new(config: ConfigChange.both(found))
    FlyDeployAgent.Cell.enter(window.cell, :suspending)
    FlyDeployAgent.Cell.enter(window.cell, :swapping)
    :ok = ConfigChange.apply_all(window.config)
    assert Application.get_env(:t_conf, :color) == :blue
    FlyDeployAgent.Cell.enter(window.cell, :migrating)
    assert %{outcome: :rolled_back} = Commit.settle(window)
    assert Enum.sort(Application.get_all_env(:t_conf)) == before
  end

  test "what is not seen to be taken back is told", %{root: root, new: new} do
    release(root, "1", "{t_conf, [{color, red}]}, ", "")
    extracted(new, "{t_conf, [{color, blue}]}, ", "")
    boot(color: :red)
    found = find(new)
    controller = Process.whereis(:application_controller)

    for at <- [:swapping, :migrating] do
      window = Windows.new(config: ConfigChange.both(found))
      FlyDeployAgent.Cell.enter(window.cell, :suspending)
      FlyDeployAgent.Cell.enter(window.cell, :swapping)
      :ok = ConfigChange.apply_all(window.config)
      FlyDeployAgent.Cell.enter(window.cell, at)
      true = :erlang.suspend_process(controller)
      result = Commit.settle(window)
      true = :erlang.resume_process(controller)

      assert %{exception: "OTP's application controller" <> _} =
               Enum.find(result.failures, &(&1.reason == "config_not_back"))

      # It does what it was asked when it can.
      assert :application.set_env(:t_conf, :other, at) == :ok
      assert Application.get_env(:t_conf, :color) == :red
    end
  end

  test "what only a boot applies, and what is another each time", %{root: root, new: new} do
    release(root, "1", "{kernel, [{net_ticktime, 60}]}, {logger, [{level, info}]}, ", """
    config :t_conf, color: :red, seed: System.unique_integer()
    """)

    extracted(new, "{kernel, [{net_ticktime, 30}]}, {logger, [{level, info}, {backends, []}]}, ", """
    System.put_env("T_MADE", "s3cret")
    config :t_conf, color: :red, seed: System.unique_integer()
    """)

    boot(color: :red, seed: 1)

    assert told(find(new)) == [
             {"config_changed", :block,
              "configuration: differs in :kernel, :net_ticktime; :logger, :backends, which only a boot applies"},
             {"config_changed", :block,
              "configuration: sets T_MADE in the environment, which only a boot does"},
             {"config_unsteady", :warn,
              ":t_conf, :seed: has another value each time that it is evaluated, and stays as it is until the next boot"}
           ]

    assert Application.get_env(:t_conf, :seed) == 1
    assert System.get_env("T_MADE") == nil
  end

  test "the level of the logger is applied", %{root: root, new: new} do
    level = Logger.level()
    before = Application.get_env(:logger, :level)

    on_exit(fn ->
      Application.put_env(:logger, :level, before)
      Logger.configure(level: level)
    end)

    release(root, "1", "{logger, [{level, info}]}, ", "")
    extracted(new, "{logger, [{level, error}]}, ", "")
    boot([])
    assert [{"config_applied", :info, ":logger: " <> text}] = told(found = find(new))
    assert text =~ ":level, by Logger.configure/1"
    assert {%{outcome: :committed}, []} = commit(found)
    assert Logger.level() == :error
  end

  test "a configuration that fails is refused, and what it says holds no value", %{root: root, new: new} do
    release(root, "1", "", "")
    boot([])

    for {runtime, more, what} <- [
          {"config :t_conf, a: System.fetch_env!(\"T_ABSENT\")", %{},
           "environment variable T_ABSENT is not set"},
          {"raise \"bad: \" <> System.fetch_env!(\"T_SECRET\")", %{},
           "** (RuntimeError) (its text is not shown, as it may hold a value)"},
          {"config :t_conf, a: T.Absent.f()", %{}, "function T.Absent.f/0 is undefined"},
          {"throw(:x)", %{}, "it ended with a throw"},
          {"config :t_conf, a: 2", %{compile: "[{t_conf, [a], {ok, 1}}]"},
           "compiled with other values of :t_conf, :a: the release would not boot with it"},
          {"", %{provider: "{'Elixir.T.Absent', []}"}, "function T.Absent.load/2 is undefined"}
        ] do
      File.rm_rf!(new)
      extracted(new, "", runtime, more)
      assert [{"config_fails", :refuse, "--apply-config: " <> text}] = told(find(new))
      assert text =~ what
      refute text =~ "s3cret"
    end
  end

  test "new code is there when the new configuration calls it", %{root: root, new: new} do
    release(root, "1", "", "config :t_conf, a: T.Conf.value()")
    extracted(new, "", "config :t_conf, a: T.Conf.value()")

    for {dir, value} <- [{Path.join(root, "lib/t_conf-1"), 1}, {Path.join(new, "lib/t_conf-2"), 2}] do
      [{module, beam}] = Code.compile_string("defmodule T.Conf do\n def value, do: #{value}\nend")
      :code.purge(module)
      :code.delete(module)
      write(dir, %{"ebin/Elixir.T.Conf.beam" => beam})
    end

    boot(a: 1)
    assert {:ok, %{keys: [{:t_conf, :a, :changed}]}} = found = AppConfig.find(new, [T.Conf], fn -> code() end)
    assert {:ok, 2} = AppConfig.fetch_env(found, :t_conf, :a)
    assert [t_conf: env] = AppConfig.env(found, t_conf: [a: 1, b: 1])
    assert Enum.sort(env) == [a: 2, b: 1]
  end

  test "an application that cannot take it is told by its name", %{root: root, new: new} do
    release(root, "1", "", "")
    extracted(new, "{t_conf, [{fails, 1}]}, ", "")
    boot([])
    assert {%{outcome: :committed}, [App]} = commit(find(new))
    assert Application.get_env(:t_conf, :fails) == 1
    assert_received {:told, [], [fails: 1], []}

    # It is told again, with what the settings are now, though nothing differs any more.
    assert {:ok, %{keys: []}} = again = find(new)
    assert AppConfig.changes?(again)

    assert told(again) == [
             {"config_not_taken", :warn,
              ":t_conf: has not taken :fails of an earlier upgrade, and is told again, and calls FlyDeployAgent.AppConfigTest.App.config_change/3"}
           ]

    assert {%{outcome: :committed}, [App]} = commit(again)
    assert_received {:told, [], [fails: 1], []}
    Application.put_env(:t_conf, :fails, nil)
    assert {%{outcome: :committed}, []} = commit(find(new))
    assert {:ok, %{untold: []}} = well = find(new)
    refute AppConfig.changes?(well)
  end

  test "without being asked, a VM that has an applied one tells that it would be lost" do
    assert ConfigFindings.all(nil) == []
    Application.put_env(:flydeploy, :config, ConfigFile.encode(%{vsn: "1", sys_config: "[].", files: %{}}))
    assert [%{name: "config_lost", severity: :block}] = ConfigFindings.all(nil)
  end
end
