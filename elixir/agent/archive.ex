defmodule FlyDeployAgent.Archive do
  @moduledoc """
  Takes a tarball apart. Everything is checked before anything is written: only regular files and directories, only
  relative names without `..`, within limits that a release never reaches.

  Most of a release's tarball is as it was, or in those of earlier versions OTP's and Elixir's own code, and nobody wants it. It passes
  by in pieces: `:erl_tar` would inflate all of it into memory, list it, and go through it again to extract, in three times the time.
  """

  import Bitwise

  @max_entries 100_000
  @max_bytes 2 * 1024 * 1024 * 1024
  # At most this much of what is wanted is held in memory until everything is checked; a second pass writes what is more.
  @held_bytes 32 * 1024 * 1024
  # Read at once. At its worst it inflates to a thousand times as much, about what is held of what is wanted.
  @piece 64 * 1024
  # The window of zlib, and that the data has gzip's header.
  @gzip 15 + 16

  @block 512
  @types %{?1 => "hard link", ?2 => "symlink", ?3 => "device", ?4 => "device", ?6 => "fifo"}

  @doc """
  Extracts the gzipped tar at `path` below `dir`: of its files those whose name `wanted` accepts, and of these those that
  `needed` accepts, given their name and content. Gives the number of all entries.
  """
  @spec extract(Path.t(), Path.t(), (binary -> boolean), (binary, binary -> boolean)) ::
          {:ok, non_neg_integer} | {:error, binary}
  def extract(path, dir, wanted, needed \\ fn _name, _content -> true end) do
    {count, {files, bytes}} = pass(path, wanted, {[], 0}, &hold(&1, &2, needed))

    if bytes <= @held_bytes do
      files |> Enum.reverse() |> Enum.reduce(MapSet.new(), &write(&1, &2, dir))
    else
      pass(path, wanted, MapSet.new(), fn {name, content} = file, folders ->
        if needed.(name, content), do: write(file, folders, dir), else: folders
      end)
    end

    {:ok, count}
  catch
    {:refused, text} -> {:error, "the tarball " <> text}
    {:unwritable, name, reason} -> {:error, "#{name} cannot be extracted: #{:file.format_error(reason)}"}
  end

  # A copy of its own, so that what was inflated around it can go.
  defp hold({name, content}, {files, bytes}, needed) do
    cond do
      not needed.(name, content) -> {files, bytes}
      bytes + byte_size(content) > @held_bytes -> {[], bytes + byte_size(content)}
      true -> {[{name, :binary.copy(content)} | files], bytes + byte_size(content)}
    end
  end

  defp write({name, content}, folders, dir) do
    folders = name |> Path.dirname() |> make(folders, dir)
    dir |> Path.join(name) |> :file.write_file(content, [:raw]) |> written(name)
    folders
  end

  # A third of the calls that it takes to look first whether each of its parents is there.
  defp make(folder, folders, dir) do
    cond do
      folder in folders ->
        folders

      folder == "." ->
        dir |> File.mkdir_p() |> written(folder)
        MapSet.put(folders, folder)

      true ->
        folders = folder |> Path.dirname() |> make(folders, dir)
        dir |> Path.join(folder) |> File.mkdir() |> written(folder)
        MapSet.put(folders, folder)
    end
  end

  defp written(:ok, _name), do: :ok
  defp written({:error, :eexist}, _folder), do: :ok
  defp written({:error, reason}, name), do: throw({:unwritable, name, reason})

  # Folds `fun` over the wanted files, `{name, content}`, and checks every entry. Gives their number beside the result.
  defp pass(path, wanted, acc, fun) do
    pieces = start_inflating(path)

    try do
      fold(%{pieces: pieces, buffer: "", bytes: 0}, 0, acc, wanted, fun)
    after
      stop_inflating(pieces)
    end
  end

  defp fold(tar, count, acc, wanted, fun) do
    case next(tar, %{}) do
      {nil, _tar} ->
        {count, acc}

      {%{name: name} = entry, tar} ->
        check(entry, count)

        if regular?(entry) and wanted.(name) do
          {content, tar} = content(tar, entry)
          fold(tar, count + 1, fun.({name, content}, acc), wanted, fun)
        else
          tar |> pass_by(entry) |> fold(count + 1, acc, wanted, fun)
        end
    end
  end

  defp check(%{name: name, type: type} = entry, count) do
    cond do
      count >= @max_entries ->
        refuse("is larger than any release")

      not regular?(entry) and type != ?5 ->
        refuse("contains a #{Map.get(@types, type, "special entry")}: #{name}")

      not safe?(name) ->
        refuse("would write outside of its folder: #{name}")

      true ->
        :ok
    end
  end

  defp regular?(%{type: type}), do: type in [?0, 0]

  defp safe?(name) do
    name != "" and Path.type(name) == :relative and ".." not in Path.split(name) and
      not String.contains?(name, <<0>>)
  end

  # The next entry, nil at the archive's end. Extensions that come before it say what its own fields have no room for.
  defp next(tar, extensions) do
    {block, tar} = take(tar, @block)

    case header(block) do
      nil ->
        {nil, tar}

      %{type: ?x} = header ->
        {records, tar} = content(tar, header)
        next(tar, Map.merge(extensions, pax(records)))

      # GNU's way to have a long name, or the target of a link.
      %{type: ?L} = header ->
        {name, tar} = content(tar, header)
        next(tar, Map.put(extensions, "path", text(name)))

      %{type: type} = header when type in [?g, ?K] ->
        tar |> pass_by(header) |> next(extensions)

      header ->
        size = if extensions["size"], do: number(extensions["size"], 10), else: header.size
        {%{header | name: Map.get(extensions, "path", header.name), size: size}, tar}
    end
  end

  # POSIX 1003.1, "ustar Interchange Format".
  defp header(<<0::size(@block)-unit(8)>>), do: nil

  defp header(
         <<name::binary-size(100), _mode_uid_gid::binary-size(24), size::binary-size(12),
           _mtime::binary-size(12), sum::binary-size(8), type, _linkname::binary-size(100),
           magic::binary-size(6), _version_to_devices::binary-size(82), prefix::binary-size(155),
           _::binary-size(12)>> = block
       ) do
    # The sum is over the block with blanks in the sum's own place.
    if sum |> text() |> number(8) != sum(block) - sum(sum) + 8 * ?\s,
      do: refuse("cannot be read: it is no tar")

    prefix = if magic == "ustar\0", do: text(prefix), else: ""
    name = if prefix == "", do: text(name), else: prefix <> "/" <> text(name)
    %{name: name, type: type, size: size |> text() |> number(8)}
  end

  defp sum(bytes, so_far \\ 0)
  defp sum(<<a, b, c, d, e, f, g, h, rest::binary>>, n), do: sum(rest, n + a + b + c + d + e + f + g + h)
  defp sum(<<>>, n), do: n

  defp text(field), do: field |> :binary.split(<<0>>) |> hd()

  defp number(text, base) do
    case text |> String.trim() |> Integer.parse(base) do
      {number, ""} when number >= 0 -> number
      _ -> refuse("cannot be read: a number in it is none")
    end
  end

  # Records "LENGTH KEY=VALUE\n", the length being that of the whole record.
  defp pax(""), do: %{}

  defp pax(records) do
    with {length, " " <> _} when length in 1..byte_size(records)//1 <- Integer.parse(records),
         {record, rest} = :erlang.split_binary(records, length),
         [_length, pair] <- :binary.split(record, " "),
         [key, value] <- :binary.split(pair, "=") do
      Map.put_new(pax(rest), key, String.replace_suffix(value, "\n", ""))
    else
      _ -> refuse("cannot be read: an extended header in it is damaged")
    end
  end

  defp content(tar, %{size: size}) do
    {content, tar} = take(tar, size)
    {content, skip(tar, padding(size))}
  end

  defp pass_by(tar, %{size: size}), do: skip(tar, size + padding(size))

  defp padding(size), do: -size &&& @block - 1

  defp take(%{buffer: buffer} = tar, size) when byte_size(buffer) >= size do
    {data, rest} = :erlang.split_binary(buffer, size)
    {data, %{tar | buffer: rest}}
  end

  defp take(tar, size), do: tar |> more() |> take(size)

  defp skip(%{buffer: buffer} = tar, size) when byte_size(buffer) >= size do
    {_, rest} = :erlang.split_binary(buffer, size)
    %{tar | buffer: rest}
  end

  defp skip(%{buffer: buffer} = tar, size),
    do: %{tar | buffer: ""} |> more() |> skip(size - byte_size(buffer))

  defp more(%{pieces: {pid, ref}, buffer: buffer, bytes: bytes} = tar) do
    receive do
      {^ref, inflated} when is_binary(inflated) ->
        send(pid, {ref, :next})
        bytes = bytes + byte_size(inflated)
        if bytes > @max_bytes, do: refuse("is larger than any release")
        %{tar | buffer: buffer <> inflated, bytes: bytes}

      {^ref, {:refused, text}} ->
        refuse(text)
    end
  end

  # Most of the time goes into inflating: a process of its own does it, on another core where there is one, two pieces
  # ahead. It ends with the caller.
  defp start_inflating(path) do
    {caller, ref} = {self(), make_ref()}

    pid =
      spawn_link(fn ->
        try do
          inflate_file(path, &hand_over(caller, ref, &1))
        catch
          {:refused, _} = refused -> send(caller, {ref, refused})
        end
      end)

    for _ <- 1..2, do: send(pid, {ref, :next})
    {pid, ref}
  end

  defp hand_over(caller, ref, inflated) do
    receive do
      {^ref, :next} -> send(caller, {ref, inflated})
    end
  end

  defp stop_inflating({pid, ref}) do
    Process.unlink(pid)
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^monitor, :process, _, _} -> forget(ref)
    end
  end

  defp forget(ref) do
    receive do
      {^ref, _} -> forget(ref)
    after
      0 -> :ok
    end
  end

  defp inflate_file(path, fun) do
    file = open(path)
    stream = :zlib.open()
    :ok = :zlib.inflateInit(stream, @gzip, :reset)
    inflate_pieces(file, stream, fun)
  end

  defp inflate_pieces(file, stream, fun) do
    case :file.read(file, @piece) do
      {:ok, data} ->
        stream |> inflate(data) |> fun.()
        inflate_pieces(file, stream, fun)

      :eof ->
        refuse("cannot be read: it ends too early")

      {:error, reason} ->
        refuse("cannot be read: #{:file.format_error(reason)}")
    end
  end

  defp open(path) do
    case :file.open(path, [:read, :raw, :binary]) do
      {:ok, file} -> file
      {:error, reason} -> refuse("cannot be read: #{:file.format_error(reason)}")
    end
  end

  defp inflate(stream, data) do
    stream |> :zlib.inflate(data) |> IO.iodata_to_binary()
  catch
    :error, _ -> refuse("cannot be inflated: it is no gzip, or damaged")
  end

  @spec refuse(binary) :: no_return
  defp refuse(text), do: throw({:refused, text})
end
