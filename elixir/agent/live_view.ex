defmodule FlyDeployAgent.LiveView do
  @moduledoc """
  Shows the new code on open pages. Inside the window every view renders in its own process and puts aside what comes of it; when
  all have, they take it, and their pages get it. Until then nothing has happened to them: a view whose code raises keeps its
  state, and its page what it shows.

  Views that are busy, or that wait for a process that is suspended, render after the window. Those that cannot be rendered, see
  `FlyDeployAgent.LiveView.Page`, show the new code at their next event.
  """

  alias FlyDeployAgent.{Failure, LiveView.Page, Origin, Release, Rounds, Stack, Static, Waiting}

  @behaviours [Phoenix.LiveView, Phoenix.LiveComponent]
  # Where a view keeps what came of its rendering.
  @aside :"$flydeploy_page"
  # How many states are looked at for the plan.
  @sample 3
  # When none has suspended for this long, the others are busy: nothing that they may wait for is suspended yet.
  @busy_ms 50
  # When nothing is heard any more, it is looked for the reason.
  @look_ms 10
  # Views that compute may be silent for this long.
  @quiet_ms 250
  # Outside of the window.
  @late_ms 2_000

  @typedoc """
  What came of rendering: who did; who could not be rendered; the failures, see `FlyDeployAgent.Failure`; and who has not answered yet, and
  will with `tag`.
  """
  @type rendered :: %{tag: reference, done: [pid], unknown: [pid], failures: [Failure.t()], late: [pid]}

  @doc "What has come of rendering where nothing is rendered."
  @spec none() :: rendered
  def none, do: %{tag: make_ref(), done: [], unknown: [], failures: [], late: []}

  @doc """
  Whether an upgrade may change what open pages show: by a module, of which these are the `FlyDeployAgent.Beam.facts/1`, or by a static
  file among `files`.
  """
  @spec visible?([FlyDeployAgent.Beam.facts()], [FlyDeployAgent.Files.file()]) :: boolean
  def visible?(facts, files),
    do:
      Static.changed?(files) or
        Enum.any?(facts, &(&1.template or Enum.any?(@behaviours, fn b -> b in &1.behaviours end)))

  @doc "Whether this VM's LiveView can be made to render open pages. Loads what that needs: inside the window there is no time for it."
  @spec supported?() :: boolean
  def supported? do
    _ = explained(%RuntimeError{message: ""}, [], __MODULE__)
    Page.supported?()
  end

  @doc "How many of `pids` are views with an open page, and whether it can be rendered anew."
  @spec pages([pid]) :: {non_neg_integer, boolean}
  def pages(pids) do
    case views(pids) do
      [] -> {0, false}
      views -> {length(views), supported?() and fit?(Enum.take(views, @sample))}
    end
  end

  # Those that do not tell are busy.
  defp fit?(views),
    do: Enum.all?(Rounds.inside(for(pid <- views, do: {pid, &Page.fits?/1}), @quiet_ms), &elem(&1, 1))

  @doc "The views among `pids`, without those that somebody else has suspended."
  @spec views([pid]) :: [pid]
  def views(pids) do
    for pid <- pids,
        match?({_, :mount, 3}, Origin.initial_call(pid)),
        not Stack.suspended?(pid),
        do: pid
  end

  @doc "The views among the targets."
  @spec changed([FlyDeployAgent.Target.t()], %{module => FlyDeployAgent.Processes.facts()}) :: [pid]
  def changed(targets, changed) do
    views = for {module, %{behaviours: behaviours}} <- changed, Phoenix.LiveView in behaviours, do: module
    for %{pid: pid, module: module} <- targets, module in views, do: pid
  end

  @doc "Suspends views whose own code does not change, within `ms`. Gives those that are: busy ones are let go."
  @spec hold([pid], dead :: pid, ms :: pos_integer) :: [pid]
  def hold([], _dead, _ms), do: []

  def hold(views, dead, ms) do
    asked = Rounds.ask(for pid <- views, do: {pid, :suspend})
    %{dead: gone, missing: busy} = Rounds.collect(asked, @busy_ms, now() + ms)

    Rounds.tell(busy, dead, :resume)
    views -- (gone ++ busy)
  end

  @doc "Has suspended views render and put aside what comes of it. They may take until then, a monotonic time in milliseconds."
  @spec render([pid], dead :: pid, until :: integer) :: rendered
  def render(views, dead, until) do
    rendered = none()
    Rounds.tell(views, dead, {:replace_state, rendering(self(), rendered.tag)})
    await(rendered, views, until)
  end

  @doc "Lets views take what they have put aside, and send it to their pages."
  @spec show(rendered, dead :: pid) :: :ok
  def show(%{done: done, late: late}, dead),
    do: Rounds.tell(done ++ late, dead, {:replace_state, &__MODULE__.take/1})

  @doc "Lets views forget what they have put aside."
  @spec drop([pid], dead :: pid) :: :ok
  def drop(views, dead), do: Rounds.tell(views, dead, {:replace_state, &__MODULE__.forget/1})

  @doc """
  Waits for those that were late, now that nothing is suspended, and has others render that have not been: these show it at once.
  """
  @spec render_late(rendered, [pid], dead :: pid) :: rendered
  def render_late(%{tag: tag, late: late} = rendered, running, dead) do
    render = rendering(self(), tag)
    Rounds.tell(running, dead, {:replace_state, fn state -> state |> render.() |> take() end})
    await(%{rendered | late: []}, late ++ running, now() + @late_ms)
  end

  defp await(rendered, views, until), do: await(rendered, Map.new(views, &{&1, true}), until, now())

  defp await(rendered, waiting, _until, _heard) when waiting == %{}, do: rendered

  defp await(%{tag: tag} = rendered, waiting, until, heard) do
    receive do
      {^tag, pid, told} -> rendered |> told(pid, told) |> await(Map.delete(waiting, pid), until, now())
    after
      @look_ms ->
        waiting = Map.filter(waiting, fn {pid, _} -> Process.alive?(pid) end)

        if over?(waiting, until, heard),
          do: %{rendered | late: Map.keys(waiting)},
          else: await(rendered, waiting, until, heard)
    end
  end

  defp over?(waiting, until, heard) do
    now() >= until or now() - heard >= @quiet_ms or
      Enum.all?(waiting, fn {pid, _} -> Waiting.for_suspended?(pid) end)
  end

  defp told(rendered, pid, :done), do: %{rendered | done: [pid | rendered.done]}
  defp told(rendered, pid, :unknown), do: %{rendered | unknown: [pid | rendered.unknown]}

  defp told(rendered, pid, failure),
    do: %{rendered | failures: [Map.put(failure, :pid, pid) | rendered.failures]}

  defp now, do: System.monotonic_time(:millisecond)

  # -- inside the views

  defp rendering(asker, tag) do
    fn state ->
      send(asker, {tag, self(), put_aside(state)})
      state
    end
  end

  defp put_aside(state) do
    # Of a window that nobody ended.
    Process.delete(@aside)

    if Page.fits?(state) do
      Process.put(@aside, Page.render(state))
      :done
    else
      :unknown
    end
  catch
    :error, reason -> explained(reason, theirs(__STACKTRACE__), state.socket.view)
    kind, reason -> not_rendered({:error, {:EXIT, {kind, reason}}}, state.socket.view)
  end

  defp explained(reason, stack, view), do: not_rendered({:error, {:EXIT, {reason, stack}}}, view)

  defp not_rendered(answer, view) do
    answer |> Failure.explain(&own?(&1, view)) |> Map.merge(%{reason: "not_rendered", module: view})
  end

  # A library that renders an assign may have put its value into the text of an exception; that of the view itself is shown, too, where it
  # is a package's.
  defp own?(module, view),
    do: Release.own?(module) or same_library?(:application.get_application(module), view)

  defp same_library?({:ok, app} = its, view),
    do: Release.origin(app) == :library and :application.get_application(view) == its

  defp same_library?(:undefined, _view), do: false

  # The stack down to where we have called.
  defp theirs(stack), do: Enum.take_while(stack, &(elem(&1, 0) != Page))

  @doc false
  def take(state) do
    case Process.delete(@aside) do
      {new, {page, message}} ->
        send(page, message)
        new

      nil ->
        state
    end
  end

  @doc false
  def forget(state) do
    Process.delete(@aside)
    state
  end
end
