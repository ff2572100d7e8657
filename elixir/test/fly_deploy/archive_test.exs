defmodule FlyDeploy.ArchiveTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Archive, Release}

  @moduletag :tmp_dir

  defp extract(dir, entries, wanted \\ fn _ -> true end) do
    {dir |> tarball(entries) |> Archive.extract(Path.join(dir, "into"), wanted), written(dir)}
  end

  defp tarball(dir, entries) do
    tarball = Path.join(dir, "t.tar.gz")
    {:ok, tar} = :erl_tar.open(String.to_charlist(tarball), [:write, :compressed])
    for {name, content} <- entries, do: :ok = :erl_tar.add(tar, content, String.to_charlist(name), [])
    :ok = :erl_tar.close(tar)
    tarball
  end

  defp written(dir) do
    for path <- dir |> Path.join("**") |> Path.wildcard(match_dot: true),
        File.regular?(path),
        Path.extname(path) != ".gz",
        do: Path.relative_to(path, dir)
  end

  test "extracts what is wanted", %{tmp_dir: dir} do
    entries = [
      {"lib/my_app-1/ebin/Elixir.A.beam", "a"},
      {"lib/kernel-8.5/ebin/kernel.app", "k"},
      {"lib/kernel-8.5/ebin/code.beam", "k"},
      {"lib/os_mon-2.8/priv/bin/memsup.sh", "o"},
      {"lib/elixir-1.14.0/ebin/Elixir.Enum.beam", "e"},
      {"lib/my_app-1/priv/static/app.js", "s"},
      {"releases/1/consolidated/Elixir.Enumerable.beam", "p"}
    ]

    {result, written} = extract(dir, entries, &Release.takes_part?/1)
    assert result == {:ok, 7}

    assert Enum.sort(written) == [
             "into/lib/kernel-8.5/ebin/kernel.app",
             "into/lib/my_app-1/ebin/Elixir.A.beam",
             "into/lib/my_app-1/priv/static/app.js",
             "into/releases/1/consolidated/Elixir.Enumerable.beam"
           ]
  end

  test "leaves out what is not needed, by its content", %{tmp_dir: dir} do
    tarball = tarball(dir, [{"a", "old"}, {"b/c", "new"}, {"d", "new"}])
    into = Path.join(dir, "into")
    assert {:ok, 3} = Archive.extract(tarball, into, &(&1 != "d"), fn _name, content -> content == "new" end)
    assert written(dir) == ["into/b/c"]
  end

  test "extracts more than is held in memory", %{tmp_dir: dir} do
    large = :binary.copy(<<7>>, 17_000_000)
    names = for n <- 1..2, do: "lib/big-1/priv/static/#{n}"
    {result, written} = extract(dir, [{"empty", ""} | Enum.map(names, &{&1, large})])
    assert result == {:ok, 3}
    assert Enum.sort(written) == ["into/empty" | Enum.map(names, &("into/" <> &1))]
    for name <- names, do: assert(dir |> Path.join("into") |> Path.join(name) |> File.read!() == large)

    File.rm_rf!(Path.join(dir, "into"))
    assert {{:error, _}, []} = extract(dir, Enum.map(names, &{&1, large}) ++ [{"../outside", "bad"}])
  end

  # Those for which ustar has no room: erl_tar writes POSIX' extended headers, and GNU tar has its own way.
  test "reads long names and those of other scripts", %{tmp_dir: dir} do
    long = "lib/" <> String.duplicate("a", 150) <> "/" <> String.duplicate("b", 150) <> ".beam"
    split = String.duplicate("c", 80) <> "/" <> String.duplicate("d", 80)
    names = Enum.sort(["lib/größe/Elixir.Größe.beam", long, split])
    {result, written} = extract(dir, for(name <- names, do: {name, name}))
    assert result == {:ok, 3}
    assert Enum.sort(written) == Enum.map(names, &("into/" <> &1))

    for format <- ~w(gnu ustar posix), names = if(format == "ustar", do: names -- [long], else: names) do
      into = Path.join(dir, "into")
      tarball = Path.join(dir, "#{format}.tar.gz")
      {"", 0} = System.cmd("tar", ["--format", format, "-czf", tarball, "-C", into | names])
      File.rm_rf!(Path.join(dir, "again"))
      assert {:ok, _} = Archive.extract(tarball, Path.join(dir, "again"), fn _ -> true end)
      for name <- names, do: assert(dir |> Path.join("again/#{name}") |> File.read!() == name)
    end
  end

  # What the release's tarball is made with is what it must be read like.
  test "finds what erl_tar finds, wherever pieces and blocks end", %{tmp_dir: dir} do
    entries =
      for n <- 1..200,
          do: {"lib/app-#{rem(n, 7)}/ebin/#{n}.beam", :crypto.strong_rand_bytes(:rand.uniform(3_000) - 1)}

    tarball = tarball(dir, entries)
    {:ok, expected} = :erl_tar.extract(String.to_charlist(tarball), [:memory, :compressed])
    assert {:ok, 200} = Archive.extract(tarball, Path.join(dir, "into"), fn _ -> true end)

    for {name, content} <- expected,
        do: assert(dir |> Path.join("into/#{name}") |> File.read!() == content)
  end

  test "writes nothing of an archive that is cut or damaged anywhere", %{tmp_dir: dir} do
    tarball = tarball(dir, for(n <- 1..20, do: {"#{n}", :crypto.strong_rand_bytes(700)}))
    plain = :zlib.gunzip(File.read!(tarball))
    # erl_tar fills its last block with zeros.
    ends = 20 * (512 + 1024)

    for size <- [0, 511, 512, 513, ends - 1 | Enum.map(1..20, fn _ -> :rand.uniform(ends) - 1 end)] do
      File.write!(tarball, plain |> binary_part(0, size) |> :zlib.gzip())

      assert {:error, "the tarball cannot be read: it ends too early"} =
               Archive.extract(tarball, dir, fn _ -> true end)
    end

    # The name in the second header.
    <<before::binary-size(1536), name, rest::binary>> = plain
    File.write!(tarball, :zlib.gzip([before, name + 1, rest]))

    assert {:error, "the tarball cannot be read: it is not a tar file"} =
             Archive.extract(tarball, dir, fn _ -> true end)

    assert written(dir) == []
  end

  # The name of a file that would be written beside the folder, whatever comes before it in the archive.
  for name <- [
        "../outside",
        "lib/../../outside",
        "/tmp/fly_deploy_outside",
        "lib/my_app-1/ebin/..",
        "lib//../../outside"
      ] do
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
