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

  test "staged files can be cleaned away", %{files: files, old: old} do
    :ok = Files.stage(files, "id")
    Files.clean(files, "id")
    assert seen(old) == %{"a.beam" => "old"}
    assert Path.wildcard(old <> "/**/.flydeploy*", match_dot: true) == []
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
