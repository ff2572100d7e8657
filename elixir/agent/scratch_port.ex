defmodule FlyDeployAgent.ScratchPort do
  @moduledoc """
  How a scratch VM (`FlyDeployAgent.ScratchVm`) speaks with the one that started it: it does what it is asked, one after the other, and
  answers with the same id. Two processes: one owns the port, and ends the VM with it whatever the other one does.
  """

  @doc "Owns the port until it is closed; then, and after `life_ms` in any case, the VM halts. `perform` gives the answers."
  @spec serve(port, pos_integer, (term -> term)) :: no_return
  def serve(port, life_ms, perform) do
    Process.flag(:priority, :max)
    worker = spawn_link(fn -> work(port, perform) end)
    Process.send_after(self(), :over, life_ms)
    answer(port, :start, :ready)
    watch(port, worker)
  end

  defp watch(port, worker) do
    receive do
      {^port, {:data, packet}} -> send(worker, {:packet, packet})
      {^port, :eof} -> :erlang.halt(0, flush: false)
      {:EXIT, ^port, _} -> :erlang.halt(0, flush: false)
      :over -> :erlang.halt(0, flush: false)
      _other -> :ok
    end

    watch(port, worker)
  end

  defp work(port, perform) do
    receive do
      {:packet, packet} ->
        {id, request} = :erlang.binary_to_term(packet)
        answer(port, id, perform.(request))

      _other ->
        :ok
    end

    work(port, perform)
  end

  defp answer(port, id, told), do: :erlang.port_command(port, :erlang.term_to_binary({id, told}))
end
