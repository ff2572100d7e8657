defmodule Counter.HTTP.Acceptor do
  @moduledoc "Accepts connections and hands each to a task of its own."

  use Task, restart: :permanent

  alias Counter.HTTP.{Connection, Connections}

  def start_link(listener), do: Task.start_link(__MODULE__, :accept, [listener])

  def accept(listener) do
    {:ok, socket} = :gen_tcp.accept(listener)
    {:ok, pid} = Task.Supervisor.start_child(Connections, Connection, :run, [])
    # The peer may be gone already; the connection finds out by itself.
    _ = :gen_tcp.controlling_process(socket, pid)
    send(pid, {:serve, socket})
    accept(listener)
  end
end
