defmodule Bench.Client do
  @moduledoc "A steady caller of one of the processes: a call each millisecond, and how long each took, in microseconds."

  def start do
    [{server, _} | _] = Bench.Servers.all()
    pid = spawn(fn -> loop(server, []) end)
    Process.register(pid, __MODULE__)
    :ok
  end

  @doc "Ends the caller, or only its first part. Gives its calls, sorted, and forgets them."
  def lap do
    send(__MODULE__, {:lap, self()})
    receive do: ({:calls, calls} -> Enum.sort(calls))
  end

  def stop do
    calls = lap()
    pid = Process.whereis(__MODULE__)
    Process.exit(pid, :kill)
    ref = Process.monitor(pid)
    receive do: ({:DOWN, ^ref, _, _, _} -> calls)
  end

  defp loop(server, calls) do
    receive do
      {:lap, from} ->
        send(from, {:calls, calls})
        loop(server, [])
    after
      1 ->
        {us, _} = :timer.tc(fn -> GenServer.call(server, :n, :infinity) end)
        loop(server, [us | calls])
    end
  end
end
