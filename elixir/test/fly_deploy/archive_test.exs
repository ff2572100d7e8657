defmodule FlyDeploy.ArchiveTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Archive, Diff}

  @moduletag :tmp_dir

  defp extract(dir, entries, wanted \\ fn _ -> true end) do
    tarball = Path.join(dir, "t.tar.gz")
    into = Path.join(dir, "into")
    File.mkdir_p!(into)
    {:ok, tar} = :erl_tar.open(String.to_charlist(tarball), [:write, :compressed])
    for {name, content} <- entries, do: :ok = :erl_tar.add(tar, content, String.to_charlist(name), [])
    :ok = :erl_tar.close(tar)
    {Archive.extract(tarball, into, wanted), written(dir)}
  end

  defp written(dir) do
    for path <- dir |> Path.join("**") |> Path.wildcard(match_dot: true),
        File.regular?(path),
        Path.basename(path) != "t.tar.gz",
        do: Path.relative_to(path, dir)
  end

  test "extracts what is wanted", %{tmp_dir: dir} do
    entries = [
      {"lib/my_app-1/ebin/Elixir.A.beam", "a"},
      {"lib/kernel-8.5/ebin/kernel.app", "k"},
      {"lib/kernel-8.5/ebin/code.beam", "k"},
      {"lib/elixir-1.14.0/ebin/Elixir.Enum.beam", "e"},
      {"lib/my_app-1/priv/static/app.js", "s"},
      {"releases/1/consolidated/Elixir.Enumerable.beam", "p"}
    ]

    {result, written} = extract(dir, entries, &Diff.needs?/1)
    assert result == {:ok, 6}

    assert Enum.sort(written) == [
             "into/lib/kernel-8.5/ebin/kernel.app",
             "into/lib/my_app-1/ebin/Elixir.A.beam",
             "into/lib/my_app-1/priv/static/app.js",
             "into/releases/1/consolidated/Elixir.Enumerable.beam"
           ]
  end

  test "extracts one that is too large to be held in memory", %{tmp_dir: dir} do
    entries = [
      {"lib/big-1/priv/static/big", :binary.copy(<<0>>, 40_000_000)},
      {"lib/my_app-1/ebin/a.beam", "a"}
    ]

    assert {{:ok, 2}, ["into/lib/my_app-1/ebin/a.beam"]} =
             extract(dir, entries, &String.ends_with?(&1, ".beam"))

    assert dir |> Path.join("into/lib/my_app-1/ebin/a.beam") |> File.read!() == "a"
  end

  # The name of a file that would be written beside the folder, whatever comes before it in the archive.
  for name <- ["../outside", "lib/../../outside", "/tmp/fly_deploy_outside", "lib/my_app-1/ebin/.."] do
    test "writes nothing of an archive that holds #{name}", %{tmp_dir: dir} do
      {result, written} = extract(dir, [{"lib/my_app-1/ebin/a.beam", "a"}, {unquote(name), "bad"}])
      assert {:error, "the tarball would write outside of its folder: " <> _} = result
      assert written == []
      refute File.exists?("/tmp/fly_deploy_outside")
    end
  end

  # Also where the entry is not wanted: it may be what a later one is written through.
  for link <- [:symlink, :hardlink] do
    test "writes nothing of an archive that holds a #{link}", %{tmp_dir: dir} do
      tarball = Path.join(dir, "t.tar.gz")
      File.write!(tarball, :zlib.gzip([entry("lib", unquote(link)), <<0::size(1024)-unit(8)>>]))
      File.mkdir_p!(Path.join(dir, "into"))
      assert {:error, text} = Archive.extract(tarball, Path.join(dir, "into"), fn _ -> false end)
      assert text =~ "the tarball contains a"
      assert written(dir) == []
    end
  end

  test "refuses bytes that are no archive", %{tmp_dir: dir} do
    tarball = Path.join(dir, "t.tar.gz")

    for bytes <- [
          "",
          "<html>not found</html>",
          :zlib.gzip("no tar"),
          binary_part(:zlib.gzip(String.duplicate("x", 999)), 0, 20)
        ] do
      File.write!(tarball, bytes)
      assert {:error, "the tarball cannot be " <> _} = Archive.extract(tarball, dir, fn _ -> true end)
    end
  end

  # A header as POSIX describes it (ustar), of a link to /etc.
  defp entry(name, link) do
    flag = if link == :symlink, do: "2", else: "1"
    field = fn text, size -> text <> String.duplicate(<<0>>, size - byte_size(text)) end

    head = fn checksum ->
      field.(name, 100) <>
        "0000755\0" <>
        "0000000\0" <>
        "0000000\0" <>
        "00000000000\0" <>
        "00000000000\0" <>
        checksum <> flag <> field.("/etc", 100) <> "ustar\0" <> "00" <> String.duplicate(<<0>>, 247)
    end

    sum = head.("        ") |> :binary.bin_to_list() |> Enum.sum()
    head.((sum |> Integer.to_string(8) |> String.pad_leading(6, "0")) <> "\0 ")
  end
end
