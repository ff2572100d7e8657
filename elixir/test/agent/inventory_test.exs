defmodule FlyDeployAgent.InventoryTest do
  use ExUnit.Case

  alias FlyDeployAgent.Inventory

  @moduletag :tmp_dir

  # An application that lies in the folder of its first version, and has a module and a static file.
  setup %{tmp_dir: dir} do
    root = Path.join(dir, "lib/had-1.0.0")
    for folder <- ~w(ebin priv/static), do: root |> Path.join(folder) |> File.mkdir_p!()
    ebin = Path.join(root, "ebin")
    [beam, new] = Enum.map(1..2, &compile/1)
    File.write!(Path.join(ebin, "Elixir.Had.beam"), beam)
    File.write!(Path.join(ebin, "had.app"), "{application, had, []}.")
    File.write!(Path.join(root, "priv/static/app.css"), "body {}")
    true = :code.add_path(String.to_charlist(ebin))

    on_exit(fn ->
      unload()
      :code.del_path(String.to_charlist(ebin))
    end)

    %{beam: beam, new: new}
  end

  defp compile(n) do
    [{Had, beam}] = Code.compile_string("defmodule Had do\n  def n, do: #{n}\nend")
    unload()
    beam
  end

  defp unload do
    :code.purge(Had)
    :code.delete(Had)
    :code.purge(Had)
  end

  @module "lib/had-2.0.0/ebin/Elixir.Had.beam"

  test "a module that lies there and is loaded, whatever the version in its folder's name", %{
    beam: beam,
    new: new
  } do
    assert Code.ensure_loaded?(Had)
    assert Inventory.has?(Inventory.new(:release), @module, beam)
    refute Inventory.has?(Inventory.new(:release), @module, new)
  end

  test "in interactive mode a module that is not loaded yet", %{beam: beam} do
    assert :code.get_mode() == :interactive
    assert Inventory.has?(Inventory.new(:release), @module, beam)
  end

  test "not a module of which another version is loaded than lies there", %{beam: beam, new: new} do
    {:module, Had} = :code.load_binary(Had, ~c"elsewhere", new)
    refute Inventory.has?(Inventory.new(:release), @module, beam)
    refute Inventory.has?(Inventory.new(:release), @module, new)
  end

  test "static files, by their content" do
    assert Inventory.has?(Inventory.new(:release), "lib/had-2.0.0/priv/static/app.css", "body {}")
    refute Inventory.has?(Inventory.new(:release), "lib/had-2.0.0/priv/static/app.css", "body { }")
    refute Inventory.has?(Inventory.new(:release), "lib/had-2.0.0/priv/static/app.js", "body {}")
  end

  test "to run the code, descriptions as other files" do
    inventory = Inventory.new(:code)
    assert Inventory.has?(inventory, "lib/had-1.0.0/ebin/had.app", "{application, had, []}.")
    refute Inventory.has?(inventory, "lib/had-1.0.0/ebin/had.app", "{application, had, [{vsn, []}]}.")
    refute Inventory.has?(inventory, "lib/new-1.0.0/ebin/new.app", "{application, new, []}.")
  end

  test "to run the code, a module whose code is that which runs, whatever else is in its file", %{
    beam: beam,
    new: new
  } do
    {:ok, _, chunks} = :beam_lib.all_chunks(beam)
    {:ok, other} = :beam_lib.build_module([{~c"More", "of it"} | chunks])
    assert other != beam
    inventory = Inventory.new(:code)

    # It is loaded from its file when it is called.
    refute Inventory.has?(inventory, @module, other)
    assert Inventory.has?(inventory, @module, beam)

    assert Code.ensure_loaded?(Had)
    assert Inventory.has?(inventory, @module, other)
    refute Inventory.has?(inventory, @module, new)
    refute Inventory.has?(Inventory.new(:release), @module, other)
  end

  # By these the comparison judges everything else.
  test "never descriptions of libraries and applications that are new" do
    refute Inventory.has?(Inventory.new(:release), "lib/had-1.0.0/ebin/had.app", "{application, had, []}.")
    refute Inventory.has?(Inventory.new(:release), "lib/new-1.0.0/priv/static/app.css", "body {}")
  end

  test "descriptions of OTP's applications, by their versions" do
    {app, vsn} = :code.lib_dir(:kernel) |> to_string() |> FlyDeployAgent.Release.split()

    assert Inventory.has?(
             Inventory.new(:release),
             "lib/#{app}-#{vsn}/ebin/#{app}.app",
             "{application, kernel, []}."
           )

    refute Inventory.has?(
             Inventory.new(:release),
             "lib/#{app}-#{vsn}.1/ebin/#{app}.app",
             "{application, kernel, []}."
           )

    refute Inventory.has?(
             Inventory.new(:release),
             "lib/megaco-1.0.0/ebin/megaco.app",
             "{application, megaco, []}."
           )
  end

  describe "consolidated protocols" do
    setup %{tmp_dir: dir} do
      System.put_env(%{"RELEASE_ROOT" => dir, "RELEASE_VSN" => "1.0.0"})
      on_exit(fn -> for name <- ~w(ROOT VSN), do: System.delete_env("RELEASE_" <> name) end)
      File.mkdir_p!(FlyDeployAgent.Release.consolidated())
    end

    # As it lies there and in a release that is built anew.
    defp had?(module, beam, other \\ nil) do
      file = "#{module}.beam"
      FlyDeployAgent.Release.consolidated() |> Path.join(file) |> File.write!(other || beam)
      Inventory.has?(Inventory.new(:release), "releases/2.0.0/consolidated/#{file}", beam)
    end

    test "of Elixir that lie there and run" do
      beam = Enumerable |> :code.which() |> File.read!()
      assert had?(Enumerable, beam)
      refute had?(Enumerable, beam, beam <> "0")
      {:ok, {_, other}} = :beam_lib.strip(Collectable |> :code.which() |> File.read!())
      refute had?(Enumerable, other)
    end

    test "never those of libraries", %{beam: beam} do
      assert Code.ensure_loaded?(Had)
      refute had?(Had, beam)
    end
  end
end
