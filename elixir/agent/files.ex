defmodule FlyDeployAgent.Files do
  @moduledoc """
  Puts the new files into the running release. They are first written beside their targets, so that what remains to be
  done after the window is to rename them: nothing that can fail for want of space or rights.
  """

  @doc "The folders below which a file could not be created, of all `{source, target}`."
  @spec unwritable([{Path.t(), Path.t()}], binary) :: [Path.t()]
  def unwritable(files, id) do
    files
    |> Enum.map(fn {_source, target} -> target |> Path.dirname() |> existing() end)
    |> Enum.uniq()
    |> Enum.reject(&writable?(&1, id))
  end

  defp existing(dir), do: if(File.dir?(dir) or dir == "/", do: dir, else: existing(Path.dirname(dir)))

  defp writable?(dir, id) do
    probe = Path.join(dir, side(id) <> "probe")
    File.write(probe, "") == :ok and File.rm(probe) == :ok
  end

  @doc "Writes every file beside its target. Nothing that runs sees it."
  @spec stage([{Path.t(), Path.t()}], binary) :: :ok | {:error, binary}
  def stage(files, id) do
    Enum.find_value(files, :ok, fn {source, target} ->
      with :ok <- File.mkdir_p(Path.dirname(target)),
           :ok <- File.cp(source, beside(target, id)),
           :ok <- File.chmod(beside(target, id), 0o644) do
        nil
      else
        {:error, reason} -> {:error, "#{target} cannot be written: #{:file.format_error(reason)}"}
      end
    end)
  end

  @doc "Renames the staged files into place; one that is there already stays. Gives the targets where that failed."
  @spec place([{Path.t(), Path.t()}], binary) :: [Path.t()]
  def place(files, id) do
    for {_source, target} <- files,
        side = beside(target, id),
        File.exists?(side),
        File.rename(side, target) != :ok,
        do: target
  end

  @doc "Removes what `stage/2` wrote and `place/2` did not use."
  @spec clean([{Path.t(), Path.t()}], binary) :: :ok
  def clean(files, id), do: Enum.each(files, fn {_source, target} -> File.rm(beside(target, id)) end)

  # A .beam's name decides what it is loaded as: the prefix keeps these out of the way.
  defp beside(target, id), do: Path.join(Path.dirname(target), side(id) <> Path.basename(target))
  defp side(id), do: ".flydeploy-#{id}-"
end
