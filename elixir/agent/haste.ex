defmodule FlyDeployAgent.Haste do
  @moduledoc "Runs the window in a process that is neither stopped by garbage collection nor waits for a scheduler longer than it must."

  # Words of the heap for the requests and answers of one target.
  @words 100
  # What a process has by default.
  @min_heap_size 233

  @doc """
  Runs `fun` in this process, with room for all requests and answers of the window, beside what is there, so that it need not stop to
  collect garbage; and with answers that wait outside of its heap, where many may write at once.
  """
  @spec run(targets :: non_neg_integer, (() -> result)) :: result when result: var
  def run(targets, fun) do
    :erlang.garbage_collect()
    {:total_heap_size, words} = Process.info(self(), :total_heap_size)
    Process.flag(:min_heap_size, words + @words * targets)
    :erlang.garbage_collect()
    Process.flag(:message_queue_data, :off_heap)
    Process.flag(:priority, priority())
    result = fun.()
    Process.flag(:priority, :normal)
    Process.flag(:message_queue_data, :on_heap)
    Process.flag(:min_heap_size, @min_heap_size)
    result
  end

  # Where others wait for a scheduler the window must not wait behind them. Where nobody does, those that are woken run on its own
  # scheduler between its turns: with a high priority they would all move to others, which takes a fifth more time.
  defp priority, do: if(:erlang.statistics(:total_run_queue_lengths) > 0, do: :high, else: :normal)
end
