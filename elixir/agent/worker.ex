defmodule FlyDeployAgent.Worker do
  @moduledoc """
  Work of the agent that takes time is done beside its loop, by one process at a time. What it tells comes to the agent as
  `{:worker, pid, message}`, its result as the last, `{:result, result}`.
  """

  alias FlyDeployAgent.Failure

  @type t :: {pid, reference}

  @doc "Starts `fun.(tell)`, and monitors it. What it raises becomes `{:error, \"agent_error\", text}`."
  @spec start(((term -> any) -> term)) :: t
  def start(fun) do
    agent = self()

    spawn_monitor(fn ->
      Process.group_leader(self(), Process.whereis(:init))
      tell = fn message -> send(agent, {:worker, self(), message}) end
      tell.({:result, safely(fn -> fun.(tell) end)})
    end)
  end

  defp safely(fun) do
    fun.()
  catch
    :error, reason ->
      told = Failure.explain({:error, {:EXIT, {reason, __STACKTRACE__}}})
      {:error, "agent_error", Enum.join([told.exception | Enum.take(told.stack, 2)], " at ")}

    kind, _reason ->
      {:error, "agent_error", "the agent's worker ended with a #{kind}"}
  end

  @doc "Ends it wherever it is, and waits until it has ended."
  @spec stop(t) :: :ok
  def stop({pid, ref}) do
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^ref, :process, _, _} -> :ok
    end
  end
end
