defmodule FlyDeployAgent.Beside do
  @moduledoc """
  Runs what may take long, or go wrong, such as the application's code, in a process of its own, which is killed after a time.
  """

  @doc """
  What `fun` gives, or raises, within that time. `:killed`: somebody else has ended that process, or it took too much memory. It has no
  group leader that ends with the caller; `options` are those of `:erlang.spawn_opt/2`.
  """
  @spec run((() -> result), timeout, [term]) ::
          {:ok, result} | {:raised, kind :: atom, term, list} | :killed | :late
        when result: var
  def run(fun, timeout_ms, options \\ []) do
    {asker, ref} = {self(), make_ref()}

    {worker, monitor} =
      :erlang.spawn_opt(
        fn ->
          Process.group_leader(self(), Process.whereis(:init))
          send(asker, {ref, safely(fun)})
        end,
        [:monitor | options]
      )

    receive do
      {^ref, told} ->
        Process.demonitor(monitor, [:flush])
        told

      {:DOWN, ^monitor, :process, _, _} ->
        :killed
    after
      timeout_ms ->
        Process.demonitor(monitor, [:flush])
        Process.exit(worker, :kill)

        receive do
          {^ref, told} -> told
        after
          0 -> :late
        end
    end
  end

  defp safely(fun) do
    {:ok, fun.()}
  catch
    kind, reason -> {:raised, kind, reason, __STACKTRACE__}
  end
end
