defmodule FlyDeployAgent.OldCode do
  @moduledoc "Who runs code that would have to be freed, or that is left over from an upgrade before."

  alias FlyDeployAgent.Stack

  @doc """
  Processes outside of `targets` with a changed module on their stack, as `[{pid, modules}]`: Tasks, requests. They
  would be killed if that module's old slot had to be freed.
  """
  @spec holders([pid], %{module => term}, except :: MapSet.t(pid)) :: [{pid, [module]}]
  def holders(pids, changed, except) do
    for pid <- pids,
        pid not in except,
        modules = pid |> Stack.frames() |> Enum.map(&elem(&1, 0)) |> Enum.filter(&is_map_key(changed, &1)),
        modules != [],
        do: {pid, Enum.uniq(modules)}
  end

  @doc """
  Processes that still run an old version of one of `modules`, from before this upgrade, as `[{module, [pid]}]`. Only those
  with a frame of the module are asked: to ask every process about every module takes seconds.
  """
  @spec lingering([module]) :: [{module, [pid]}]
  def lingering(modules) do
    case Enum.filter(modules, &:erlang.check_old_code/1) do
      [] -> []
      old -> old |> Map.new(&{&1, true}) |> lingering_in()
    end
  end

  defp lingering_in(old) do
    found =
      for {pid, modules} <- holders(Process.list(), old, MapSet.new()),
          m <- modules,
          runs_old?(pid, m),
          do: {m, pid}

    found |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)) |> Map.to_list()
  end

  defp runs_old?(pid, module) do
    :erlang.check_process_code(pid, module, allow_gc: false) == true
  rescue
    ArgumentError -> false
  end
end
