defmodule FlyDeployAgent.FilesTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Files

  @moduletag :tmp_dir

  setup %{tmp_dir: dir} do
    new = Path.join(dir, "new")
    old = Path.join(dir, "old")
    for d <- [new, old], do: File.mkdir_p!(d)
    for name <- ["a.beam", "b.beam"], do: File.write!(Path.join(new, name), "new")
    File.write!(Path.join(old, "a.beam"), "old")

    files = [
      {Path.join(new, "a.beam"), Path.join(old, "a.beam")},
      {Path.join(new, "b.beam"), Path.join(old, "sub/dir/b.beam")}
    ]

    %{files: files, old: old}
  end

  defp seen(dir),
    do:
      for(
        path <- Path.wildcard(dir <> "/**/*.beam"),
        into: %{},
        do: {Path.relative_to(path, dir), File.read!(path)}
      )

  test "staged files show only once they are placed", %{files: files, old: old} do
    assert Files.stage(files, "id") == :ok
    assert seen(old) == %{"a.beam" => "old"}
    assert Files.place(files, "id") == []
    assert seen(old) == %{"a.beam" => "new", "sub/dir/b.beam" => "new"}
    # A second time, as a successor may have to: what is there stays.
    assert Files.place(files, "id") == []
    assert Path.wildcard(old <> "/**/.flydeploy*", match_dot: true) == []
  end

  test "anybody may read staged files, whatever rights the new ones and the umask give", %{
    files: files,
    old: old
  } do
    for {new, _target} <- files, do: File.chmod!(new, 0o600)
    side = Path.join(old, ".flydeploy-id-a.beam")
    File.write!(side, "of an umask that gives nobody else any")
    File.chmod!(side, 0o600)
    assert Files.stage(files, "id") == :ok
    assert File.read!(side) == "new"
    assert Bitwise.band(File.stat!(side).mode, 0o777) == 0o644
  end

  test "staged files can be cleaned away", %{files: files, old: old} do
    :ok = Files.stage(files, "id")
    Files.clean(files, "id")
    assert seen(old) == %{"a.beam" => "old"}
    assert Path.wildcard(old <> "/**/.flydeploy*", match_dot: true) == []
  end

  describe "files of priv" do
    setup %{tmp_dir: dir} do
      priv = Path.join(dir, "lib/shop-1.0.0/priv/static")
      new = Path.join(dir, "new")
      File.mkdir_p!(priv)
      for name <- ["app.js", "app-2.js"], do: File.write!(Path.join(new, name), "new")
      File.write!(Path.join(priv, "app.js"), "old")
      early = for name <- ["app.js", "app-2.js"], do: {Path.join(new, name), Path.join(priv, name)}
      %{early: early, priv: priv}
    end

    defp all(dir), do: for(name <- File.ls!(dir), into: %{}, do: {name, File.read!(Path.join(dir, name))})

    test "are early, and go back to what they were, once or twice", %{files: files, early: early, priv: priv} do
      assert Files.early(files ++ early) == early
      absent = Files.absent(early)
      assert absent == [Path.join(priv, "app-2.js")]
      assert Files.stage(early, "id") == :ok
      # Nothing is there yet that could be taken back.
      assert Files.take_back(early, absent, "id") == []
      assert File.read!(Path.join(priv, "app.js")) == "old"
      assert Files.place(early, "id") == []
      assert File.read!(Path.join(priv, "app.js")) == "new"
      assert Files.take_back(early, absent, "id") == []
      Files.clean(early, "id")
      assert all(priv) == %{"app.js" => "old"}
      assert Files.take_back(early, absent, "id") == []
      assert all(priv) == %{"app.js" => "old"}
    end

    test "leave nothing behind where they stay", %{early: early, priv: priv} do
      :ok = Files.stage(early, "id")
      assert Files.place(early, "id") == []
      Files.clean(early, "id")
      assert all(priv) == %{"app.js" => "new", "app-2.js" => "new"}
    end

    test "that cannot be put back are named", %{early: [{_, target} | _] = early} do
      :ok = Files.stage(early, "id")
      [] = Files.place(early, "id")
      File.rm!(target)
      File.mkdir_p!(target)
      assert Files.take_back(early, Files.absent(early), "id") == [target]
    end
  end

  test "a file that cannot be replaced is named", %{files: [{source, _} | _], old: old} do
    target = Path.join(old, "folder")
    File.mkdir_p!(Path.join(target, "full"))
    assert Files.stage([{source, target}], "id") == :ok
    assert Files.place([{source, target}], "id") == [target]
  end

  test "folders that cannot be written are found before anything is", %{files: files, old: old} do
    assert Files.unwritable(files, "id") == []
    assert Files.unwritable([{"x", "/proc/flydeploy/x.beam"}], "id") == ["/proc"]
    assert File.ls!(old) == ["a.beam"]
  end
end
