defmodule FlyDeploy.PlacementTest do
  use ExUnit.Case, async: true

  alias FlyDeploy.Placement

  @moduletag :tmp_dir

  setup %{tmp_dir: dir} do
    for name <- ~w(new release/ebin), do: dir |> Path.join(name) |> File.mkdir_p!()
    for name <- ~w(a b c), do: File.write!(Path.join([dir, "new", name]), "new #{name}")
    for name <- ~w(a b), do: File.write!(Path.join([dir, "release/ebin", name]), "old #{name}")
    :ok
  end

  defp files(dir, names),
    do: for(name <- names, do: {source(dir, name), Path.join([dir, "release/ebin", name])})

  defp source(dir, name), do: Path.join([dir, "new", name])

  # Everything below the folder, hidden files too.
  defp release(dir) do
    for path <- dir |> Path.join("release/**") |> Path.wildcard(match_dot: true),
        File.regular?(path),
        into: %{} do
      {Path.relative_to(path, Path.join(dir, "release")), File.read!(path)}
    end
  end

  test "puts all files into place", %{tmp_dir: dir} do
    files = [{source(dir, "c"), Path.join(dir, "release/lib/new_app-1/ebin/c")} | files(dir, ~w(a b))]
    test = self()

    fun = fn ->
      send(test, {:seen, release(dir)["ebin/a"]})
      :ok
    end

    assert Placement.place(files, "01A", fun) == :ok
    assert_received {:seen, "new a"}
    assert release(dir) == %{"ebin/a" => "new a", "ebin/b" => "new b", "lib/new_app-1/ebin/c" => "new c"}
  end

  test "puts all back when what follows fails", %{tmp_dir: dir} do
    before = release(dir)

    assert Placement.place(files(dir, ~w(a b c)), "01A", fn -> {:error, "not loaded"} end) ==
             {:error, "not loaded"}

    assert release(dir) == before
  end

  test "touches nothing when one cannot be written", %{tmp_dir: dir} do
    before = release(dir)
    broken = {source(dir, "missing"), Path.join(dir, "release/ebin/missing")}

    assert {:error, text} =
             Placement.place(files(dir, ~w(a)) ++ [broken] ++ files(dir, ~w(b)), "01A", fn -> flunk() end)

    assert text =~ "missing cannot be replaced: no such file"
    assert release(dir) == before
  end

  test "puts back what was replaced before one that cannot be", %{tmp_dir: dir} do
    File.mkdir_p!(Path.join(dir, "release/ebin/c/folder"))
    before = release(dir)
    assert {:error, text} = Placement.place(files(dir, ~w(a c b)), "01A", fn -> flunk() end)
    assert text =~ "ebin/c cannot be replaced"
    assert release(dir) == before
  end

  test "takes no notice of what a killed attempt has left", %{tmp_dir: dir} do
    for name <- ~w(old-a new-a old-c), [side, file] = String.split(name, "-") do
      left = ".flydeploy-#{side}-01A-#{System.pid()}-#{file}"
      File.write!(Path.join([dir, "release/ebin", left]), "left")
    end

    assert Placement.place(files(dir, ~w(a c)), "01A", fn -> {:error, "no"} end) == {:error, "no"}
    assert release(dir) == %{"ebin/a" => "old a", "ebin/b" => "old b"}
  end

  test "leaves what another VM puts beside the same files", %{tmp_dir: dir} do
    theirs = Path.join(dir, "release/ebin/.flydeploy-new-01A-other-a")
    File.write!(theirs, "theirs")
    assert Placement.place(files(dir, ~w(a)), "01A", fn -> :ok end) == :ok
    assert File.read!(theirs) == "theirs"
  end
end
