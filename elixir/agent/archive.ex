defmodule FlyDeployAgent.Archive do
  @moduledoc """
  Takes a tarball apart. Everything is checked before anything is written: only regular files and directories, only
  relative names without `..`, within limits that a release never reaches.

  Most of a release's tarball is as it was, or in those of earlier versions OTP's and Elixir's own code, and nobody wants it. It passes
  by in pieces: `:erl_tar` would inflate all of it into memory, list it, and go through it again to extract, in three times the time.
  """

  alias FlyDeployAgent.{Gzip, Tar}

  import FlyDeployAgent.Gzip, only: [refuse: 1]

  @max_entries 100_000
  # At most this much of what is wanted is held in memory until everything is checked; a second pass writes what is more.
  @held_bytes 32 * 1024 * 1024
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
    file = Gzip.open(path)

    try do
      fold(file, 0, acc, wanted, fun)
    after
      Gzip.close(file)
    end
  end

  defp fold(file, count, acc, wanted, fun) do
    case Tar.next(file) do
      {nil, _file} ->
        {count, acc}

      {%{name: name} = entry, file} ->
        check(entry, count)

        if regular?(entry) and wanted.(name) do
          {content, file} = Tar.content(file, entry)
          fold(file, count + 1, fun.({name, content}, acc), wanted, fun)
        else
          file |> Tar.pass_by(entry) |> fold(count + 1, acc, wanted, fun)
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
    name != "" and not String.starts_with?(name, "/") and not String.contains?(name, <<0>>) and
      (not String.contains?(name, "..") or ".." not in String.split(name, "/"))
  end
end
