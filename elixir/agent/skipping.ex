defmodule FlyDeployAgent.Skipping do
  @moduledoc """
  Which busy processes can be left out of a window: those that come to their `code_change` before the new code handles anything.

  A process that is left out finds a suspend in its mailbox when it is done, and then its `code_change`. What lies in front of the
  suspend would be handled by the new code on the old state; so would what its callback may have asked for beside the mailbox, a
  `handle_continue`, or the events of a gen_statem. Where nothing migrates, old and new states are alike.
  """

  alias FlyDeployAgent.{Target, Window}

  # A process may take this long to tell of its mailbox, and this may hold this much.
  @look_ms 50
  @messages 1_000

  @doc "Those of the targets, to which this process has sent a suspend, that cannot be left out."
  @spec impossible([Target.t()]) :: [pid]
  def impossible(targets) do
    {asked, others} = targets |> Enum.reject(&(&1.units == [])) |> Enum.split_with(&only_messages?/1)
    asked = Window.pids(asked)
    Window.pids(others) ++ (asked -- clear(asked))
  end

  defp only_messages?(%Target{kind: :gen_statem}), do: false
  defp only_messages?(%Target{module: module}), do: not function_exported?(module, :handle_continue, 2)

  # Looked at by processes of their own: whoever is in native code does not answer before it returns.
  defp clear(pids) do
    {agent, ref} = {self(), make_ref()}

    for pid <- pids,
        do: :erlang.spawn_opt(fn -> send(agent, {ref, pid, clear?(pid, agent)}) end, priority: :high)

    await(ref, length(pids), System.monotonic_time(:millisecond) + @look_ms)
  end

  defp await(_ref, 0, _until), do: []

  defp await(ref, left, until) do
    receive do
      {^ref, pid, clear?} -> if(clear?, do: [pid], else: []) ++ await(ref, left - 1, until)
    after
      max(until - System.monotonic_time(:millisecond), 0) -> []
    end
  end

  defp clear?(pid, agent) do
    with {_, count} when count <= @messages <- Process.info(pid, :message_queue_len),
         {_, messages} <- Process.info(pid, :messages) do
      messages |> before_suspend(agent) |> Enum.all?(&match?({:system, _from, _request}, &1))
    else
      # One that has ended keeps nobody from anything.
      nil -> true
      _ -> false
    end
  end

  # System messages, whoever has sent them, are no matter of the process' own code. A suspend that is no longer there has been obeyed.
  defp before_suspend(messages, agent),
    do: messages |> Enum.reverse() |> Enum.drop_while(&(not match?({:system, {^agent, _}, :suspend}, &1)))
end
