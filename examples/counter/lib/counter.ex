defmodule Counter do
  @moduledoc "The counters seen as a whole: who they are, what they hold."

  @doc "All counters as `{number, pid}`, by number."
  def all do
    Counter.Registry
    |> Registry.select([{{:"$1", :"$2", :_}, [], [{{:"$1", :"$2"}}]}])
    |> Enum.sort()
  end

  @doc "The process of one counter."
  def fetch(number) do
    case Registry.lookup(Counter.Registry, number) do
      [{pid, _value}] -> {:ok, pid}
      [] -> :error
    end
  end

  @doc "All counters as `{number, pid, state}`, by number. Asks each in turn, so counts may move meanwhile."
  def states do
    for {number, pid} <- all(), do: {number, pid, Counter.Server.state(pid)}
  end

  @doc """
  Calls every counter in turn and answers `{number of counters, total of their counts}`. With `over_ms` the calls are
  spread over about as many milliseconds, so that one sweep is under way for that long at little cost.
  """
  def sweep(over_ms \\ 0) do
    counters = all()
    pause = 20
    steps = max(div(over_ms, pause), 1)
    size = max(div(length(counters) + steps - 1, steps), 1)

    total =
      counters
      |> Enum.chunk_every(size)
      |> Enum.reduce(0, fn chunk, total ->
        if over_ms > 0, do: Process.sleep(pause)
        Enum.reduce(chunk, total, fn {_number, pid}, total -> total + Counter.Server.count(pid) end)
      end)

    {length(counters), total}
  end
end
