defmodule FlyDeploy.Placement do
  @moduledoc false

  # Puts new files in the place of old ones, all or none. Files are `{source, target}`; the sources are used up. The new
  # ones are first put beside their targets: what then remains is to rename them, and nothing of that can fail for want of
  # space. The old ones are kept until all is done. An application waits for this: each call costs more than what it does.

  @type file :: {Path.t(), Path.t()}

  @doc """
  Puts all files into place and runs `fun`. If any of that fails, all is as it was before. `id` names the upgrade: two VMs
  may share a folder, and what one of them puts beside its files is not the other's.
  """
  @spec place([file], String.t(), (... -> :ok | {:error, String.t()})) :: :ok | {:error, String.t()}
  def place(files, id, fun) do
    items = for {source, target} <- files, do: item(source, target, id)

    with :ok <- items |> Enum.map(&Path.dirname(&1.target)) |> Enum.uniq() |> each(&make/1) do
      try do
        with :ok <- each(items, &bring/1),
             :ok <- each(items, &keep/1),
             do: exchange(items, fun)
      after
        Enum.each(items, &clean/1)
      end
    end
  end

  # A .beam's name decides what it is loaded as: the prefix keeps these out of the way.
  defp item(source, target, id) do
    beside = &Path.join(Path.dirname(target), "#{&1}-#{id}-#{System.pid()}-#{Path.basename(target)}")
    %{source: source, target: target, new: beside.(".flydeploy-new"), old: beside.(".flydeploy-old")}
  end

  # From here on every target has its new file beside it, and its old one, if there was any.
  defp exchange(items, fun) do
    with :ok <- each(items, &swap/1),
         :ok <- fun.() do
      :ok
    else
      {:error, _} = error ->
        Enum.each(items, &restore/1)
        error
    end
  end

  defp each(items, fun), do: Enum.find_value(items, :ok, &with(:ok <- fun.(&1), do: nil))

  defp make(folder), do: folder |> File.mkdir_p() |> done(folder)

  defp bring(%{source: source, target: target, new: new}) do
    with :ok <- move(source, new) do
      :file.change_mode(new, 0o644)
    end
    |> done(target)
  end

  # The sources may lie on another disk.
  defp move(source, to) do
    with {:error, :exdev} <- File.rename(source, to), do: File.cp(source, to)
  end

  # A link needs no space. Some filesystems have none. Who was killed here may have left one.
  defp keep(%{target: target, old: old}) do
    :file.delete(old, [:raw])

    with {:error, reason} when reason != :enoent <- File.ln(target, old),
         {:error, reason} <- File.cp(target, old) do
      done({:error, reason}, target)
    else
      _ -> :ok
    end
  end

  defp swap(%{target: target, new: new}), do: new |> File.rename(target) |> done(target)

  # A target whose new file still lies beside it was not reached.
  defp restore(%{target: target, new: new, old: old}) do
    if not File.exists?(new) do
      with {:error, :enoent} <- File.rename(old, target), do: File.rm(target)
    end
  end

  defp clean(item) do
    for side <- [item.new, item.old], do: :file.delete(side, [:raw])
  end

  defp done(:ok, _target), do: :ok

  defp done({:error, reason}, target),
    do: {:error, "#{target} cannot be replaced: #{:file.format_error(reason)}"}
end
