defmodule FlyDeployAgent.Origin do
  @moduledoc "Where a process comes from, as it has recorded it in its dictionary."

  # A process that has just been spawned has not recorded its start: it is looked at so often, a millisecond apart.
  @looks 5

  @doc "The module, function and arity that `proc_lib` or the process itself recorded as its start, or nil."
  @spec initial_call(pid) :: mfa | nil
  def initial_call(pid), do: initial_call(pid, @looks)

  defp initial_call(pid, looks) do
    with {:initial_call, {:proc_lib, _, _}} <- Process.info(pid, :initial_call) do
      case dictionary(pid, :"$initial_call") do
        {_, _, _} = mfa -> mfa
        nil when looks > 1 -> later(fn -> initial_call(pid, looks - 1) end)
        _ -> nil
      end
    else
      _ -> nil
    end
  end

  @doc "Whether it was spawned by `proc_lib` and has not come to record its start."
  @spec unrecorded?(pid) :: boolean
  def unrecorded?(pid) do
    match?({:initial_call, {:proc_lib, _, _}}, Process.info(pid, :initial_call)) and
      dictionary(pid, :"$initial_call") == nil
  end

  defp later(fun) do
    Process.sleep(1)
    fun.()
  end

  @doc "A value in the dictionary of another process, or nil, also for `:undefined`. Before OTP 26.2 the whole dictionary is copied for it."
  @spec dictionary(pid, term) :: term
  def dictionary(pid, key) do
    case :erlang.process_info(pid, {:dictionary, key}) do
      {{:dictionary, ^key}, :undefined} -> nil
      {{:dictionary, ^key}, value} -> value
      _ -> nil
    end
  rescue
    ArgumentError ->
      with {:dictionary, entries} <- Process.info(pid, :dictionary),
           {_, value} when value != :undefined <- List.keyfind(entries, key, 0) do
        value
      else
        _ -> nil
      end
  end
end
