defmodule FlyDeployAgent.Waiting do
  @moduledoc """
  Whom a process waits for, as far as it can be seen: it is inside a call, and monitors whom it has called.
  """

  alias FlyDeployAgent.Stack

  # One may wait for one that waits for another.
  @deep 5

  @doc "Whether `pid` waits, itself or through others, for a process that is suspended: only the end of the window frees it."
  @spec for_suspended?(pid) :: boolean
  def for_suspended?(pid), do: for_suspended(pid) != nil

  @doc "The suspended process for which `pid` waits, itself or through others, or nil."
  @spec for_suspended(pid) :: pid | nil
  def for_suspended(pid), do: for_suspended(pid, @deep)

  defp for_suspended(_pid, 0), do: nil

  defp for_suspended(pid, deep) do
    with [current_function: {:gen, :do_call, 4}, monitors: monitors] <-
           Process.info(pid, [:current_function, :monitors]) do
      Enum.find_value(monitors, fn
        {:process, called} when is_pid(called) and node(called) == node() ->
          if Stack.suspended?(called), do: called, else: for_suspended(called, deep - 1)

        _ ->
          nil
      end)
    else
      _ -> nil
    end
  end
end
