defmodule FlyDeployAgent.FreeMemory do
  @moduledoc """
  How much memory is left for another program beside this VM: within the limit of its control group, and on its machine.
  """

  @doc """
  Bytes that are free, what the kernel can drop at once included; nil where nothing tells. `root` is the folder that holds `proc` and `sys`.
  """
  @spec bytes(Path.t()) :: non_neg_integer | nil
  def bytes(root \\ "/") do
    [machine(root) | groups(root)] |> Enum.reject(&is_nil/1) |> Enum.min(fn -> nil end)
  end

  defp machine(root) do
    with {:ok, text} <- File.read(Path.join(root, "proc/meminfo")),
         [_, kilobytes] <- Regex.run(~r/^MemAvailable:\s+(\d+) kB/m, text),
         do: String.to_integer(kilobytes) * 1024,
         else: (_ -> nil)
  end

  # A line for each hierarchy: "0::/path" for version 2, "4:memory:/path" for version 1. Within a container the path may be another
  # one outside of it, and its own group is the root.
  defp groups(root) do
    with {:ok, text} <- File.read(Path.join(root, "proc/self/cgroup")) do
      for line <- String.split(text, "\n", trim: true),
          [_, controllers, path] <- [String.split(line, ":", parts: 3)],
          dir <- Enum.uniq([path, "/"]),
          do: group(controllers, Path.join(root, "sys/fs/cgroup"), dir)
    else
      _ -> []
    end
  end

  defp group("", mount, dir),
    do: left(Path.join(mount, dir), "memory.max", "memory.current", ~r/^inactive_file (\d+)/m)

  defp group("memory", mount, dir) do
    [mount, "memory", dir]
    |> Path.join()
    |> left("memory.limit_in_bytes", "memory.usage_in_bytes", ~r/^total_inactive_file (\d+)/m)
  end

  defp group(_controllers, _mount, _dir), do: nil

  # "max" is no limit. What files have left in memory counts as used, and is dropped when it is needed.
  defp left(dir, limit, used, cached) do
    with {:ok, limit} <- number(dir, limit, ~r/^(\d+)/),
         {:ok, used} <- number(dir, used, ~r/^(\d+)/) do
      cached = with {:ok, cached} <- number(dir, "memory.stat", cached), do: cached, else: (_ -> 0)
      max(limit - max(used - cached, 0), 0)
    else
      _ -> nil
    end
  end

  defp number(dir, file, pattern) do
    with {:ok, text} <- File.read(Path.join(dir, file)),
         [_, number] <- Regex.run(pattern, text),
         do: {:ok, String.to_integer(number)},
         else: (_ -> :error)
  end
end
