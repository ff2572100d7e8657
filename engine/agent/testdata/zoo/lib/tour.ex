defmodule Zoo.Tour do
  @moduledoc "What tests look at."

  @doc "A line for each process: in which versions its state was made and migrated, or what it rendered."
  def states do
    servers = ~w(plain sleeper labelled masked drowsy dreamer worker other door view still room special)a

    lines =
      for(name <- servers, do: {name, GenServer.call(name, :state)}) ++
        for(name <- [:by_fun, :by_name], do: {name, Zoo.Store.get(name)}) ++
        [
          events: :gen_event.call(:events, Zoo.Handler, :state),
          keeper: GenServer.call(Keeper, :state),
          manifest: String.trim(:persistent_term.get(Zoo.Endpoint)),
          suspended: suspended()
        ]

    for {name, state} <- lines, do: IO.puts("#{name}=#{inspect(state)}")
  end

  defp suspended do
    Enum.count(Process.list(), fn pid ->
      with {_, stack} <- Process.info(pid, :current_stacktrace),
           do: Enum.any?(stack, &match?({:sys, f, _, _} when f in [:suspend_loop, :suspend_loop_hib], &1))
    end)
  end

  @doc "Waits until all of these hibernate."
  def asleep(names), do: Enum.all?(names, &asleep?(Process.whereis(&1), 1_000))

  # From OTP 28 on it is the loop that hibernates.
  defp asleep?(pid, left) do
    {_, {_, function, _}} = Process.info(pid, :current_function)

    cond do
      function in [:hibernate, :loop_hibernate] -> true
      left == 0 -> false
      true -> Process.sleep(5) && asleep?(pid, left - 1)
    end
  end

  @doc "Starts processes under a supervisor, and others without one, until it is asked for their states."
  def breed, do: Process.register(spawn(fn -> breed([], []) end), :breeder)

  defp breed(supervised, orphans) do
    receive do
      {:states, from} -> send(from, {states(supervised), states(orphans)})
    after
      1 ->
        name = :"child_#{length(supervised)}"
        spec = %{id: name, start: {Zoo.Plain, :start_link, [name]}, restart: :temporary}
        {:ok, child} = DynamicSupervisor.start_child(Zoo.Nursery, spec)
        {:ok, orphan} = GenServer.start(Zoo.Plain, nil)
        breed([child | supervised], [orphan | orphans])
    end
  end

  defp states(pids), do: pids |> Enum.frequencies_by(&GenServer.call(&1, :state)) |> Map.delete([2])
end
