defmodule FlyDeploy.Placement do
  @moduledoc false

  # Puts new files in the place of old ones, all or none. Files are `{source, target}`; the sources are used up. The new
  # ones are first put beside their targets: what then remains is to rename them, and nothing of that can fail for want of
  # space. The old ones are kept until all is done. An application waits for this: each call costs more than what it does.

  @type file :: {Path.t(), Path.t()}

  @doc "Puts all files into place and runs `fun`. If any of that fails, all is as it was before."
  @spec place([file], (... -> :ok | {:error, String.t()})) :: :ok | {:error, String.t()}
  def place(files, fun) do
    targets = Enum.map(files, fn {_source, target} -> target end)

    with :ok <- targets |> Enum.map(&Path.dirname/1) |> Enum.uniq() |> each(&make/1) do
      try do
        with :ok <- each(files, &bring/1),
             :ok <- each(targets, &keep/1),
             do: exchange(targets, fun)
      after
        Enum.each(targets, &clean/1)
      end
    end
  end

  # From here on every target has its new file beside it, and its old one, if there was any.
  defp exchange(targets, fun) do
    with :ok <- each(targets, &swap/1),
         :ok <- fun.() do
      :ok
    else
      {:error, _} = error ->
        Enum.each(targets, &restore/1)
        error
    end
  end

  defp each(items, fun), do: Enum.find_value(items, :ok, &with(:ok <- fun.(&1), do: nil))

  defp make(folder), do: folder |> File.mkdir_p() |> done(folder)

  defp bring({source, target}) do
    with :ok <- move(source, new(target)) do
      :file.change_mode(new(target), 0o644)
    end
    |> done(target)
  end

  # The sources may lie on another disk.
  defp move(source, to) do
    with {:error, :exdev} <- File.rename(source, to), do: File.cp(source, to)
  end

  # A link needs no space. Some filesystems have none. Who was killed here may have left one.
  defp keep(target) do
    :file.delete(old(target), [:raw])

    with {:error, reason} when reason != :enoent <- File.ln(target, old(target)),
         {:error, reason} <- File.cp(target, old(target)) do
      done({:error, reason}, target)
    else
      _ -> :ok
    end
  end

  defp swap(target), do: new(target) |> File.rename(target) |> done(target)

  # A target whose new file still lies beside it was not reached.
  defp restore(target) do
    if not File.exists?(new(target)) do
      with {:error, :enoent} <- File.rename(old(target), target), do: File.rm(target)
    end
  end

  defp clean(target) do
    for side <- [new(target), old(target)], do: :file.delete(side, [:raw])
  end

  defp done(:ok, _target), do: :ok

  defp done({:error, reason}, target),
    do: {:error, "#{target} cannot be replaced: #{:file.format_error(reason)}"}

  # A .beam's name decides what it is loaded as: the prefix keeps these out of the way.
  defp new(target), do: beside(target, ".flydeploy-new-")
  defp old(target), do: beside(target, ".flydeploy-old-")
  defp beside(target, prefix), do: Path.join(Path.dirname(target), prefix <> Path.basename(target))
end
