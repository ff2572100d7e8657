defmodule FlyDeployAgent.ManifestTest do
  use ExUnit.Case

  alias FlyDeployAgent.Manifest

  @moduletag :tmp_dir

  defp write(dir, files) do
    for {name, text} <- files do
      path = Path.join(dir, name)
      File.mkdir_p!(Path.dirname(path))
      File.write!(path, text)
    end
  end

  test "every file with its size and sha256, native ones marked, and no cookie", %{tmp_dir: dir} do
    write(dir, %{
      "lib/my_app-1.0.0/priv/with blanks.txt" => "abc",
      "lib/my_app-1.0.0/priv/nif.so" => <<0x7F, "ELF", 2>>,
      "releases/1.0.0/sys.config" => "[{my_app, [{pool, 5}, {secret, <<\"hunter2\">>}]}].",
      "releases/COOKIE" => "cookie"
    })

    text = Manifest.text(dir, "1.0.0")
    refute text =~ "hunter2"
    refute text =~ "COOKIE"
    manifest = Manifest.parse(text)

    assert manifest.files["lib/my_app-1.0.0/priv/with blanks.txt"] == %{
             kind: :file,
             size: 3,
             sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
           }

    assert manifest.files["lib/my_app-1.0.0/priv/nif.so"].kind == :native
    assert manifest.settings == Manifest.settings(Path.join(dir, "releases/1.0.0"))

    assert Enum.sort(Map.keys(manifest.settings)) == [
             {"sys.config", ":my_app, :pool"},
             {"sys.config", ":my_app, :secret"}
           ]
  end

  test "nothing of libraries that an earlier version has left, as the release's list tells", %{tmp_dir: dir} do
    files = %{
      "lib/my_app-1.0.0/ebin/my_app.app" => "",
      "lib/my_app-0.9.0/ebin/my_app.app" => "",
      "lib/my_app-0.9.0/priv/nif.so" => <<0x7F, "ELF", 2>>,
      "lib/overlay/file" => ""
    }

    write(dir, files)
    named = fn -> dir |> Manifest.text("1.0.0") |> Manifest.parse() |> Map.fetch!(:files) |> Map.keys() end
    assert Enum.sort(named.()) == Enum.sort(Map.keys(files))
    rel = "releases/1.0.0/my_app.rel"
    write(dir, %{rel => ~s({release,{"my_app","1.0.0"},{erts,"15.2"},[{my_app,"1.0.0",permanent}]}.)})
    assert Enum.sort(named.()) == ["lib/my_app-1.0.0/ebin/my_app.app", "lib/overlay/file", rel]
  end

  @runtime """
  import Config

  if config_env() == :prod do
    # The database.
    config :my_app, MyApp.Repo, url: System.fetch_env!("DATABASE_URL")
  end

  config :my_app, color: :red, size: 1
  """

  # {file, before, after, names that differ}
  @settings [
    {"runtime.exs", @runtime, String.replace(@runtime, "# The database.\n", "\n\n\n"), []},
    {"runtime.exs", @runtime, String.replace(@runtime, ":red", ":blue"), [":my_app, :color"]},
    {"runtime.exs", @runtime, String.replace(@runtime, "DATABASE_URL", "DB"), [":my_app, MyApp.Repo"]},
    {"runtime.exs", @runtime, @runtime <> "config :other, a: 1\n", [":other, :a", "other code"]},
    {"runtime.exs", @runtime, String.replace(@runtime, ":prod", ":test"), ["other code"]},
    {"sys.config", "[{a, [{b, 1}, {c, 2}]}].", "%% hello\n[{a,[{c,2},{b,1}]}].", []},
    {"sys.config", "[{a, [{b, 1}]}].", "[{a, [{b, 2}, {c, 2}]}].", [":a, :b", ":a, :c"]},
    {"sys.config", "[{elixir, [{config_provider_init, 1}]}].", "[{elixir, [{config_provider_init, 2}]}].",
     []},
    {"vm.args", "+P 1000\n## threads\n+A 2\n", "+A 2\n\n+P 1000\n", []},
    {"vm.args", "+P 1000\n", "+P 2000\n+K true\n", ["+K", "+P"]},
    {"env.sh", "#!/bin/sh\nexport A=1\n", "#!/bin/sh\n# one\nexport A=1\n", []},
    {"env.sh", "export A=1\n", "export A=2\necho hello\n", ["A", "its commands"]}
  ]

  test "settings are compared by what they say", %{tmp_dir: dir} do
    for {file, before, later, names} <- @settings do
      [old, new] =
        for text <- [before, later] do
          write(dir, %{file => text})
          settings = Manifest.settings(dir)
          File.rm!(Path.join(dir, file))
          settings
        end

      keys = old |> Map.merge(new) |> Map.keys() |> Enum.sort()

      assert {file, later, for({^file, key} = at <- keys, old[at] != new[at], do: key)} ==
               {file, later, names}
    end
  end
end
