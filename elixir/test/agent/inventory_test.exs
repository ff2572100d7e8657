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
    assert Inventory.has?(@module, beam)
    refute Inventory.has?(@module, new)
  end

  test "in interactive mode a module that is not loaded yet", %{beam: beam} do
    assert :code.get_mode() == :interactive
    assert Inventory.has?(@module, beam)
  end

  test "not a module of which another version is loaded than lies there", %{beam: beam, new: new} do
    {:module, Had} = :code.load_binary(Had, ~c"elsewhere", new)
    refute Inventory.has?(@module, beam)
    refute Inventory.has?(@module, new)
  end

  test "static files, by their content" do
    assert Inventory.has?("lib/had-2.0.0/priv/static/app.css", "body {}")
    refute Inventory.has?("lib/had-2.0.0/priv/static/app.css", "body { }")
    refute Inventory.has?("lib/had-2.0.0/priv/static/app.js", "body {}")
  end

  # By these the comparison judges everything else.
  test "never descriptions, protocols and applications that are new" do
    refute Inventory.has?("lib/had-1.0.0/ebin/had.app", "{application, had, []}.")
    protocol = Path.join(to_string(:code.lib_dir(:elixir)), "ebin/Elixir.Enumerable.beam")
    refute Inventory.has?("releases/1.0.0/consolidated/Elixir.Enumerable.beam", File.read!(protocol))
    refute Inventory.has?("lib/new-1.0.0/priv/static/app.css", "body {}")
  end
end
