defmodule FlyDeployAgent.Files do
  @moduledoc """
  Puts the new files into the running release. They are first written beside their targets, so that what remains to be
  done around the window is to rename them: nothing that can fail for want of space or rights.

  Those of `priv` come before the window, for new code reads them while it renders and migrates, and go back with it. All others
  come after it: only a restart reads them.
  """

  @typedoc "Where a file was extracted to, and where it belongs."
  @type file :: {source :: Path.t(), target :: Path.t()}

  @doc "The folders below which a file could not be created, of all `{source, target}`."
  @spec unwritable([file], binary) :: [Path.t()]
  def unwritable(files, id) do
    files
    |> Enum.map(fn {_source, target} -> Path.dirname(target) end)
    |> Enum.uniq()
    |> Enum.map(&existing/1)
    |> Enum.uniq()
    |> Enum.reject(&writable?(&1, id))
  end

  defp existing(dir), do: if(File.dir?(dir) or dir == "/", do: dir, else: existing(Path.dirname(dir)))

  defp writable?(dir, id) do
    probe = Path.join(dir, side(id) <> "probe")
    File.write(probe, "") == :ok and File.rm(probe) == :ok
  end

  @doc "Those that must be in place before the window, see above."
  @spec early([file]) :: [file]
  def early(files), do: Enum.filter(files, fn {_source, target} -> target =~ ~r"/lib/[^/]+/priv/" end)

  @doc "Targets of early files that do not exist yet, for `take_back/3`."
  @spec absent([file]) :: [Path.t()]
  def absent(files), do: for({_source, target} <- early(files), not File.exists?(target), do: target)

  @doc "Writes every file beside its target, and keeps what early ones will replace. Nothing that runs sees it."
  @spec stage([file], binary) :: :ok | {:error, binary}
  def stage(files, id) do
    with :ok <- write_beside(files, id), do: files |> early() |> keep(id)
  end

  defp write_beside(files, id) do
    folders = for {_source, target} <- files, uniq: true, do: Path.dirname(target)

    Enum.find_value(folders, &unwritten(File.mkdir_p(&1), &1)) ||
      Enum.find_value(files, :ok, fn {source, target} ->
        unwritten(copy(source, beside(target, id)), target)
      end)
  end

  defp unwritten(:ok, _path), do: nil

  defp unwritten({:error, reason}, path),
    do: {:error, "#{path} cannot be written: #{:file.format_error(reason)}"}

  # A third of the calls that `File.cp/2` makes, which has the source's rights as well. Most umasks give these anyway.
  defp copy(from, to) do
    with {:ok, content} <- File.read(from),
         :ok <- File.write(to, content, [:raw]),
         {:ok, %{mode: mode}} <- File.stat(to),
         do: if(Bitwise.band(mode, 0o777) == 0o644, do: :ok, else: File.chmod(to, 0o644))
  end

  defp keep(files, id) do
    Enum.find_value(files, :ok, fn {_source, target} ->
      case link(target, kept(target, id)) do
        {:error, reason} when reason != :enoent ->
          {:error, "#{target} cannot be kept: #{:file.format_error(reason)}"}

        _kept_or_absent ->
          nil
      end
    end)
  end

  # A second name for it, which takes no space; a copy where the file system has none.
  defp link(from, to) do
    with {:error, reason} when reason != :enoent <- File.ln(from, to), do: File.cp(from, to)
  end

  @doc "Renames the staged files into place; one that is there already stays. Gives the targets where that failed."
  @spec place([file], binary) :: [Path.t()]
  def place(files, id) do
    for {_source, target} <- files,
        side = beside(target, id),
        File.exists?(side),
        File.rename(side, target) != :ok,
        do: target
  end

  @doc """
  Gives the early files that `place/2` has put in place back what they were; `absent` are those that were not there. A second time it
  changes nothing. Gives the targets where that failed.
  """
  @spec take_back([file], absent :: [Path.t()], binary) :: [Path.t()]
  def take_back(files, absent, id) do
    for {_source, target} <- early(files),
        not File.exists?(beside(target, id)),
        not taken_back?(target, target in absent, id),
        do: target
  end

  defp taken_back?(target, true, _id), do: File.rm(target) in [:ok, {:error, :enoent}]
  defp taken_back?(target, false, id), do: File.rename(kept(target, id), target) in [:ok, {:error, :enoent}]

  @doc "Removes what `stage/2` wrote and nobody has used."
  @spec clean([file], binary) :: :ok
  def clean(files, id) do
    Enum.each(files, fn {_source, target} -> File.rm(beside(target, id)) end)
    Enum.each(early(files), fn {_source, target} -> File.rm(kept(target, id)) end)
  end

  # A .beam's name decides what it is loaded as: the prefix keeps these out of the way.
  defp beside(target, id), do: Path.join(Path.dirname(target), side(id) <> Path.basename(target))
  defp kept(target, id), do: Path.join(Path.dirname(target), side(id) <> "old-" <> Path.basename(target))
  defp side(id), do: ".flydeploy-#{id}-"
end
