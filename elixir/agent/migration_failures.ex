defmodule FlyDeployAgent.MigrationFailures do
  @moduledoc """
  What is told of processes whose migration failed: `%{pid, module, reason, exception, stack}`. The pid is remembered beside what is shown,
  since a rollback asks it for its state's shape.
  """

  alias FlyDeployAgent.{Failure, Findings, Waiting, Window}

  @doc "Of one that answered that it had failed."
  @spec answered({{pid, module}, answer :: term}) :: Failure.t()
  def answered({{pid, module}, answer}),
    do: answer |> Failure.explain() |> Map.merge(%{pid: pid, module: module})

  @doc "Of one that was left out and could not be migrated when it came to it: nothing can be taken back any more."
  @spec skipped(pid, module, answer :: term) :: Failure.t()
  def skipped(pid, module, answer) do
    failure = answered({{pid, module}, answer})

    %{
      failure
      | exception: failure.exception <> " (--skip-busy had left it out: the new code runs on its old state)"
    }
  end

  @doc """
  Of one that did not answer: it hangs where all are `quiet`, else the time for suspending was over. What its name was must be asked now:
  the process may be ended for it.
  """
  @spec unanswered({pid, module}, quiet :: boolean, Window.t()) :: Failure.t()
  def unanswered({pid, module}, quiet, window) do
    told = late(quiet, window) <> waits_for(Waiting.for_suspended(pid))

    {pid, module}
    |> unlooked(quiet, window)
    |> Map.merge(%{name: Findings.name(pid), exception: told, stack: Failure.stack_of(pid)})
  end

  @doc "Of further ones that did not answer: nobody looks what each of thousands does."
  @spec unlooked({pid, module}, quiet :: boolean, Window.t()) :: Failure.t()
  def unlooked({pid, module}, quiet, window) do
    reason = if quiet, do: "timeout", else: "too_slow"
    %{pid: pid, module: module, reason: reason, exception: late(quiet, window), stack: []}
  end

  defp late(true, window), do: "code_change did not return within #{window.migration_ms} ms"

  defp late(false, window),
    do: "code_change had not returned when the #{window.max_suspend_ms} ms for suspending were over"

  defp waits_for(nil), do: ""
  defp waits_for(pid), do: ": it calls #{Findings.who(pid)}, which is suspended as well"
end
