defmodule FlyDeployAgent.Archive do
  @moduledoc """
  Takes a tarball apart. Everything is checked before anything is written: only regular files and directories, only
  relative names without `..`, within limits that a release never reaches.
  """

  @max_entries 100_000
  @max_bytes 2 * 1024 * 1024 * 1024
  # So much of an inflated tarball is held in memory, and of its files at once, except for a larger one.
  @held_bytes 32 * 1024 * 1024
  @batch_bytes 8 * 1024 * 1024

  @doc """
  Extracts the gzipped tar at `path` below `dir`, of its files those whose name `wanted` accepts. Gives the number of all
  entries.
  """
  @spec extract(Path.t(), Path.t(), (binary -> boolean)) :: {:ok, non_neg_integer} | {:error, binary}
  def extract(path, dir, wanted) do
    with {:ok, archive} <- inflate(path, path <> ".plain"),
         {:ok, entries} <- table(archive),
         :ok <- check(entries, 0, 0),
         :ok <- entries |> files(wanted) |> write(archive, dir) do
      {:ok, length(entries)}
    else
      {:error, text} when is_binary(text) -> {:error, text}
      {:error, reason} -> {:error, "the tarball cannot be extracted: #{format(reason)}"}
    end
  after
    File.rm(path <> ".plain")
  end

  # Inflated once: in a plain tar what is not wanted is skipped without being read. One of a usual size is held in memory,
  # which takes a third of the time.
  defp inflate(path, plain) do
    case :file.open(path, [:read, :raw, :binary, :compressed]) do
      {:ok, from} ->
        try do
          from |> :file.read(@held_bytes) |> inflated(from, plain)
        after
          :file.close(from)
        end

      {:error, reason} ->
        broken(reason)
    end
  end

  defp inflated({:ok, all}, _from, _plain) when byte_size(all) < @held_bytes, do: {:ok, {:binary, all}}
  defp inflated(:eof, _from, _plain), do: {:ok, {:binary, ""}}
  defp inflated({:error, reason}, _from, _plain), do: broken(reason)

  defp inflated({:ok, beginning}, from, plain) do
    with {:ok, to} <- :file.open(plain, [:write, :raw, :binary]),
         written = :file.write(to, beginning),
         copied = :file.copy(from, to, @max_bytes),
         :ok <- :file.close(to),
         :ok <- written,
         {:ok, bytes} when bytes < @max_bytes <- copied do
      {:ok, String.to_charlist(plain)}
    else
      {:ok, _} -> {:error, "the tarball is larger than any release"}
      {:error, reason} -> broken(reason)
    end
  end

  defp broken(reason), do: {:error, "the tarball cannot be inflated: #{:file.format_error(reason)}"}

  defp table(archive) do
    case :erl_tar.table(archive, [:verbose]) do
      {:ok, entries} -> {:ok, entries}
      {:error, reason} -> {:error, "the tarball cannot be read: #{format(reason)}"}
    end
  end

  defp files(entries, wanted) do
    for {name, :regular, size, _mtime, _mode, _uid, _gid} <- entries,
        wanted.(List.to_string(name)),
        do: {name, size}
  end

  # Much faster than to have erl_tar write them, which looks at every folder again for every file.
  defp write(files, archive, dir) do
    folders = files |> Enum.map(fn {name, _} -> :filename.dirname(name) end) |> Enum.uniq()

    with :ok <- each(folders, fn name -> dir |> Path.join(name) |> File.mkdir_p() |> written(name) end),
         do: files |> batches() |> each(&write_batch(&1, archive, dir))
  end

  defp write_batch(names, archive, dir) do
    with {:ok, contents} <- :erl_tar.extract(archive, [:memory, files: names]) do
      each(contents, fn {name, content} ->
        dir |> Path.join(name) |> :file.write_file(content, [:raw]) |> written(name)
      end)
    end
  end

  defp written(:ok, _name), do: :ok

  defp written({:error, reason}, name),
    do: {:error, "#{name} cannot be extracted: #{:file.format_error(reason)}"}

  defp each(items, fun) do
    Enum.find_value(items, :ok, fn item ->
      error = fun.(item)
      if error != :ok, do: error
    end)
  end

  defp batches(files) do
    Enum.chunk_while(
      files,
      {[], 0},
      fn {name, size}, {names, bytes} ->
        if bytes + size > @batch_bytes and names != [],
          do: {:cont, names, {[name], size}},
          else: {:cont, {[name | names], bytes + size}}
      end,
      fn {names, _} -> {:cont, names, nil} end
    )
  end

  defp check([], _count, _bytes), do: :ok

  defp check(_entries, count, bytes) when count >= @max_entries or bytes > @max_bytes,
    do: {:error, "the tarball is larger than any release"}

  defp check([{name, type, size, _mtime, _mode, _uid, _gid} | rest], count, bytes) do
    cond do
      type not in [:regular, :directory] -> {:error, "the tarball contains a #{type}: #{name}"}
      not safe?(name) -> {:error, "the tarball would write outside of its folder: #{name}"}
      true -> check(rest, count + 1, bytes + size)
    end
  end

  defp safe?(name) do
    path = List.to_string(name)
    Path.type(path) == :relative and ".." not in Path.split(path) and not String.contains?(path, <<0>>)
  end

  defp format({_file, reason}), do: format(reason)
  defp format(reason), do: reason |> :erl_tar.format_error() |> IO.iodata_to_binary()
end
