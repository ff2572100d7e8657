defmodule Traffic.Trouble do
  @moduledoc "What a migration or a template does to a window."

  def make(nil), do: :ok
  def make(:raise), do: raise("no")
  def make(:hang), do: Process.sleep(:infinity)
  def make({:slow, ms}), do: Process.sleep(ms)
  def make({:compute, ms}), do: compute(System.monotonic_time(:millisecond) + ms)
  def make(:die), do: Process.exit(self(), :kill) && Process.sleep(:infinity)
  def make({:call, name}), do: GenServer.call(name, :state)

  defp compute(until), do: if(System.monotonic_time(:millisecond) < until, do: compute(until), else: :ok)
end

defmodule Traffic.Frame do
  @moduledoc "A page that does not change itself, but shows what does."
  @behaviour Phoenix.LiveView
  alias Phoenix.LiveView.{Component, Rendered}
  @impl true
  def render(_assigns), do: Rendered.new(["frame ", ""], fn _ -> [Component.new(Traffic.Part, "part")] end)
end

defmodule Traffic.Noise do
  @moduledoc "Everything that may happen to a window, at random, and what must be true afterwards."

  alias Phoenix.LiveView.{Channel, Utils}

  @servers 40
  # The first half of the pages is left alone: they hibernate, and must come out of the window with their components.
  @pages 16
  @quiet 8
  @patience_ms 60_000

  @doc "Starts servers and pages, all but `troubles` of each harmless, and those who disturb them."
  def start(seed, troubles) do
    :rand.seed(:exsss, {seed, 1, 1})
    Enum.each(processes(Traffic.Late), &end_of/1)
    for n <- 1..@servers, do: child(Traffic.Fuzz, {server(n), {if(n <= troubles, do: trouble()), rest(n)}})
    for n <- 1..@pages, do: child(Channel, {Enum.at([Traffic.Page, Traffic.Frame], rem(n, 2)), page(n)})
    # Traffic.Page has the even numbers.
    for n <- 1..troubles//1, do: assign(page(:rand.uniform(div(@pages, 2)) * 2), :trouble, page_trouble())
    for n <- 1..@pages, do: assign(page(n), :from, Traffic.Fuzz.version())

    :persistent_term.put(
      :quiet,
      for(n <- 1..@quiet, pid = Process.whereis(page(n)), not troubled?(pid), do: pid)
    )

    asleep(:persistent_term.get(:quiet) ++ hibernating(), now() + @patience_ms)

    seeds = for _ <- 1..12, do: :rand.uniform(1_000_000)
    test = self()

    spawn(fn ->
      Process.register(self(), :noise)
      for {seed, n} <- Enum.with_index(seeds), do: spawn_link(fn -> noise(seed, {n, troubles}) end)
      send(test, :noisy)
      Process.sleep(:infinity)
    end)

    receive do: (:noisy -> :ok)
  end

  defp child(module, argument) do
    spec = %{id: argument, start: {module, :start_link, [argument]}}
    {:ok, _} = DynamicSupervisor.start_child(Traffic.Servers, spec)
  end

  # Every third of the servers hibernates after each call.
  defp rest(n) when rem(n, 3) == 0, do: :hibernate
  defp rest(_n), do: :infinity

  defp hibernating do
    for n <- 1..@servers, rest(n) == :hibernate do
      pid = Process.whereis(server(n))
      GenServer.call(pid, :state)
      pid
    end
  end

  # From OTP 28 on it is the loop that hibernates.
  defp asleep([], _until), do: :ok

  defp asleep([pid | rest] = pids, until) do
    case Process.info(pid, :current_function) do
      {_, {_, function, _}} when function in [:hibernate, :loop_hibernate] -> asleep(rest, until)
      _ -> if(now() < until, do: Process.sleep(5) && asleep(pids, until), else: exit(:awake))
    end
  end

  defp trouble,
    do:
      Enum.random([
        :raise,
        :hang,
        :die,
        {:slow, :rand.uniform(300)},
        {:call, server(:rand.uniform(@servers))},
        {:compute, :rand.uniform(1_500)}
      ])

  # A template that never returns is no matter of the window: its page hangs at the next event as well.
  defp page_trouble do
    place = Enum.random([:render, :render, :migrate])
    {place, Enum.random([:raise, :raise, :die, {:slow, :rand.uniform(300)}, {:compute, :rand.uniform(300)}])}
  end

  defp assign(page, key, value),
    do: :sys.replace_state(page, fn s -> %{s | socket: Utils.assign(s.socket, key, value)} end)

  defp troubled?(page), do: :sys.get_state(page).socket.assigns[:trouble] != nil

  defp server(n), do: :"fuzz_#{n}"
  defp page(n), do: :"page_#{n}"
  defp any, do: server(:rand.uniform(@servers))
  defp harmless(troubles), do: server(troubles + :rand.uniform(@servers - troubles))
  defp disturbed, do: page(@quiet + :rand.uniform(@pages - @quiet))

  defp noise(seed, which) do
    :rand.seed(:exsss, {seed, 2, 2})
    disturb(which)
  end

  # Callers, those who keep servers and pages busy, who kill them, who give birth to others without a supervisor, and what
  # happens on pages.
  defp disturb({n, _}) when n in 0..3, do: forever(fn -> Traffic.Fuzz.ask(any()) end, 2)

  defp disturb({n, troubles}) when n in 4..5,
    do: forever(fn -> GenServer.call(harmless(troubles), {:work, :rand.uniform(200)}, :infinity) end, 100)

  defp disturb({6, _}), do: forever(fn -> kill(any()) end, 150)

  defp disturb({7, _}),
    do: forever(fn -> Traffic.Fuzz |> GenServer.start({nil, :infinity}) |> end_soon() end, 20)

  defp disturb({8, _}), do: forever(fn -> send(disturbed(), {:assign, :n, :rand.uniform(100)}) end, 20)
  defp disturb({9, _}), do: forever(fn -> kill(disturbed()) end, 300)

  defp disturb({10, _}),
    do: forever(fn -> Channel |> GenServer.start(Traffic.Page, hibernate_after: 10) |> end_soon() end, 50)

  defp disturb({11, _}) do
    ms = :rand.uniform(200)
    forever(fn -> :sys.replace_state(disturbed(), fn s -> Process.sleep(ms) && s end, :infinity) end, 200)
  end

  defp kill(name), do: if(pid = Process.whereis(name), do: Process.exit(pid, :kill))

  defp end_soon({:ok, pid}),
    do: spawn(fn -> Process.sleep(:rand.uniform(2_000)) && Process.exit(pid, :kill) end)

  # Whom it is about may be gone.
  defp forever(fun, upto_ms) do
    try do
      fun.()
    catch
      _, _ -> :gone
    end

    Process.sleep(:rand.uniform(upto_ms))
    forever(fun, upto_ms)
  end

  @doc """
  Ends the noise, gives everybody time to answer, and tells what is wrong; how many pages show the old code because the new one raises
  there, and how many servers have an old state because the new code cannot migrate it.
  """
  def outcome do
    if noise = Process.whereis(:noise), do: end_of(noise)
    version = Traffic.Fuzz.version()
    quiet = :persistent_term.get(:quiet)
    servers = processes(Traffic.Fuzz) ++ processes(Traffic.Late)
    pages = processes(Traffic.Page) ++ processes(Traffic.Frame)

    told =
      for(pid <- servers, do: {pid, server_of(pid, version)}) ++
        for(pid <- pages, do: {pid, page_of(pid, version, pid in quiet)})

    gone = for pid <- quiet, not Process.alive?(pid), do: {pid, :gone}

    wrong =
      for {pid, wrong} when is_tuple(wrong) <- told, do: {pid, Process.info(pid, :registered_name), wrong}

    {gone ++ wrong, count(told, :old_page), count(told, :old_state)}
  end

  defp count(told, what), do: Enum.count(told, fn {_, told} -> told == what end)

  defp processes(module) do
    for pid <- Process.list(),
        {:dictionary, dictionary} <- [Process.info(pid, :dictionary)],
        {^module, _, _} <- [dictionary[:"$initial_call"]],
        do: pid
  end

  defp server_of(pid, version) do
    case ask(pid) do
      %{v: ^version} -> left(pid)
      %{v: _, trouble: trouble} when trouble != nil -> :old_state
      %{v: other} -> {:half_migrated, other, version}
      other -> other
    end
  end

  # What it shows must be whole; whoever was left alone has the component that it had.
  defp page_of(pid, version, quiet?) do
    with {shown, assigns} <- ask(pid) do
      from = assigns[:from]
      mounted = if quiet?, do: from, else: shown |> String.split() |> List.last()

      cond do
        shown in shows(version, mounted) -> left(pid)
        match?({:render, _}, assigns[:trouble]) and shown in shows(from, from) -> :old_page
        true -> {:shows, shown, assigns, version}
      end
    end
  end

  defp shows(version, mounted),
    do: ["page #{version} of #{version} part #{version} of #{mounted}", "frame part #{version} of #{mounted}"]

  defp ask(pid) do
    GenServer.call(pid, :state, @patience_ms)
  catch
    :exit, {:timeout, _} -> {:no_answer, Process.info(pid, [:current_stacktrace, :message_queue_len]), pid}
    :exit, _ -> :gone
  end

  defp left(pid) do
    with {:dictionary, dictionary} <- Process.info(pid, :dictionary),
         [_ | _] = left <-
           for({key, value} <- dictionary, match?({:state, _}, value) or key == :"$flydeploy_page", do: key),
         do: {:left, left},
         else: (_ -> :well)
  end

  defp end_of(pid) do
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)
    receive do: ({:DOWN, ^ref, _, _, _} -> :ok)
  end

  defp now, do: System.monotonic_time(:millisecond)
end
