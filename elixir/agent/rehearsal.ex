defmodule FlyDeployAgent.Rehearsal do
  @moduledoc """
  Tries the migration on copies before anything is touched: a scratch VM beside the application's (`FlyDeployAgent.ScratchVm`) gets the
  running code and the new one, what the application keeps around, and samples of the states of each kind of process, and
  runs their `code_change`; open pages are rendered as well. Whatever happens there, it changes nothing but the plan.

  States go into that VM and nowhere else. It is not started where memory is short, and what would act outside of it is not tried.
  """

  alias FlyDeployAgent.{
    AppConfig,
    Beam,
    Belongings,
    Beside,
    CodeFacts,
    Diff,
    Failure,
    FreeMemory,
    Kinds,
    LiveView,
    Outside,
    Pair,
    RehearsalFindings,
    Samples,
    Scratch,
    ScratchPort,
    ScratchVm,
    Shapes,
    Trial
  }

  # What runs in the scratch VM.
  @modules [Scratch, ScratchPort, Trial, Shapes, Failure, FlyDeployAgent.Needs, LiveView.Page]
  # Bytes: what must be free for the VM beside its samples, and the most that it may take.
  @needed 60 * 1_048_576
  @sample 1_310_720
  @most 160 * 1_048_576
  # All of it; when no more trials are begun; one answer (a trial ends after ten seconds by itself); and each step until the trials can
  # begin, which together take half a second where nothing else runs.
  @limits %{total_ms: 25_000, all_ms: 12_000, answer_ms: 12_000, setup_ms: 10_000, memory: "/"}
  @kinds 30
  # How many trials of a kind may go on without an end before no more are made, and how many VMs may be lost.
  @endless 2
  @lost 3
  # Modules that are sent at a time.
  @batch 16
  # For the process that does it: 64 MB on 64 bits.
  @heap_words 8 * 1_048_576

  @type code :: (() -> {:ok, [{module, binary}]} | {:error, binary})
  @typedoc "What came of a kind: of how many samples, and why some or all were not tried."
  @type outcome :: %{kind: Kinds.t(), told: [Trial.told()], large: non_neg_integer, why: binary | nil}

  @doc """
  Rehearses what was staged, in the folder `dir`, and gives the findings. `code` gives the agent's own modules, `{:ok, [{module, beam}]}` or
  `{:error, text}`; `limits` are those that differ, in milliseconds; `memory` the folder below which the system tells how much memory is free.
  """
  @spec findings(FlyDeployAgent.Staged.t(), FlyDeployAgent.Order.t(), Path.t(), code, map) :: [
          FlyDeployAgent.Findings.finding()
        ]
  def findings(staged, order, dir, code, limits \\ %{}) do
    limits = Map.merge(@limits, limits)

    # What is refused cannot be committed.
    if Enum.any?(staged.findings, &(&1.severity == :refuse)),
      do: [],
      else: bounded(limits, &rehearse(staged, order, Path.join(dir, "scratch"), code, {limits, &1}))
  end

  # In a process that owns the VM; whoever asks may be killed, and takes both along.
  defp bounded(limits, fun) do
    asker = self()

    work = fn ->
      Process.flag(:trap_exit, true)
      fun.(asker)
    end

    heap = %{size: @heap_words, kill: true, error_logger: false}

    case Beside.run(work, limits.total_ms, priority: :low, max_heap_size: heap) do
      {:ok, findings} ->
        findings

      {:raised, kind, _reason, stack} ->
        [
          RehearsalFindings.none(
            "the agent failed with a #{kind} at #{stack |> Failure.stack() |> List.first()}"
          )
        ]

      :killed ->
        [RehearsalFindings.none("the agent took too much memory for it")]

      :late ->
        [RehearsalFindings.none("it took too long")]
    end
  end

  defp rehearse(staged, order, dir, code, {limits, asker}) do
    case kinds(staged, order) do
      [] ->
        []

      kinds ->
        free = FreeMemory.bytes(limits.memory)

        with :ok <- room(free),
             {:ok, code} <- code.(),
             vm = vm(code, dir, free, limits, asker),
             world = world(staged, order, vm, limits),
             {:ok, vm} <- start(world) do
          {outcomes, vm} = try_all(kinds, vm, world)
          if vm.alive, do: ScratchVm.stop(vm.alive)
          RehearsalFindings.all(outcomes, world.pairs)
        else
          {:error, why} -> [RehearsalFindings.none(why)]
        end
    end
  end

  # The code that takes states back is there alone, and cannot render what the older one would.
  defp kinds(staged, %{back: true}),
    do: for(%{unit: {_, _}} = kind <- Kinds.all(staged), do: %{kind | page: false})

  defp kinds(staged, _order), do: Kinds.all(staged)

  defp room(nil), do: {:error, "how much memory is free cannot be read"}
  defp room(free) when free >= @needed + @sample, do: :ok

  defp room(free),
    do:
      {:error,
       "#{div(free, 1_048_576)} MB of memory are free, and #{div(@needed + @sample, 1_048_576)} MB are needed"}

  # -- what the VM gets

  defp vm(code, dir, free, limits, asker) do
    %{
      code: for({m, _} = own <- code, m in @modules, do: own),
      main: Scratch,
      dir: dir,
      most: min(free, @most),
      boot_ms: limits.setup_ms,
      life_ms: limits.total_ms,
      with: [asker]
    }
  end

  defp world(staged, order, vm, limits) do
    changes = staged.diff.changes
    pairs = for change <- changes, pair = Pair.of(change, &CodeFacts.functions_in/1), do: pair
    apps = Enum.uniq([order.otp_app | Enum.map(changes, & &1.app)])

    listed =
      for app <- apps, {:ok, modules} <- [:application.get_key(app, :modules)], module <- modules, do: module

    %{
      changes: changes,
      pairs: pairs,
      new: Map.new(changes, &{&1.module, Diff.asked(&1)}),
      drifted:
        MapSet.new(for %{change: :changed} = change <- changes, running(change) == nil, do: change.module),
      apps: apps,
      modules: Enum.uniq(listed ++ Enum.map(changes, & &1.module)),
      sought: %{structs: Pair.fields_added(pairs), gone: MapSet.new(), purged: %{}, impls: %{}, shapes: %{}},
      config: staged.config,
      vm: vm,
      limits: limits,
      until: now() + limits.all_ms
    }
  end

  # What runs, unless its file holds something else.
  defp running(%{old_file: file, old_md5: md5}) do
    with {:ok, beam} <- File.read(file), ^md5 <- Beam.md5(beam), do: beam, else: (_ -> nil)
  end

  defp start(world) do
    belongings = Belongings.of(world.apps, MapSet.new(world.modules))
    belongings = %{belongings | env: AppConfig.env(world.config, belongings.env)}

    with {:ok, vm} <- ScratchVm.start(world.vm),
         {:ok, :ok} <- ScratchVm.ask(vm, {:belongings, belongings}, world.limits.setup_ms),
         :ok <- load(vm, world),
         {:ok, _} <- ScratchVm.ask(vm, {:load, world.modules}, world.limits.setup_ms) do
      {:ok, %{alive: vm, lost: 0}}
    else
      {_, why} -> {:error, "the scratch VM could not be set up: #{why}"}
    end
  end

  # A few at a time, so that not all are in memory.
  defp load(vm, world) do
    world.changes
    |> Enum.chunk_every(@batch)
    |> Enum.reduce_while(:ok, fn batch, :ok ->
      case ScratchVm.ask(vm, {:two, Enum.map(batch, &both/1)}, world.limits.setup_ms) do
        {:ok, []} -> {:cont, :ok}
        {:ok, [module | _]} -> {:halt, {:error, "#{inspect(module)} cannot be loaded there"}}
        gone -> {:halt, gone}
      end
    end)
  end

  defp both(%{module: module, target: target, source: source} = change) do
    old = if change.change == :changed, do: running(change)

    case Diff.asked(change) do
      ^source -> {module, String.to_charlist(target), old, File.read!(source)}
      _taken_back -> {module, String.to_charlist(target), nil, old || File.read!(source)}
    end
  end

  # -- the trials

  defp try_all(kinds, vm, world) do
    {some, others} = Enum.split(kinds, @kinds)
    {outcomes, vm} = Enum.map_reduce(some, vm, &try_kind(&1, &2, world))
    {outcomes ++ for(kind <- others, do: untried(kind, "there are too many kinds")), vm}
  end

  defp untried(kind, why), do: %{kind: kind, told: [], large: 0, why: why}

  defp try_kind(kind, vm, world) do
    case why_not(kind, vm, world) do
      nil ->
        %{states: states, large: large} = Samples.take(kind.pids, kind.kind, kind.module)
        {told, vm} = try_states(states, trial(kind, world), vm, world, [])
        {%{kind: kind, told: told, large: large, why: if(told == [], do: not_copied(large))}, vm}

      why ->
        {untried(kind, why), vm}
    end
  end

  defp not_copied(0), do: "none of its processes gave a copy of its state in time"
  defp not_copied(_large), do: "its states are larger than 64 KB"

  defp why_not(%{module: module} = kind, vm, world) do
    cond do
      vm.alive == nil -> "the scratch VM ended #{vm.lost} times"
      now() > world.until -> "there was no time left"
      module in world.drifted -> "its file does not hold the code that runs"
      true -> acts(kind, world)
    end
  end

  defp acts(%{unit: nil}, _world), do: nil

  defp acts(%{module: module, kind: kind}, world) do
    new = fn m -> with path when is_binary(path) <- world.new[m], do: File.read!(path) end

    case Outside.acts(module, [{:code_change, if(kind == :gen_statem, do: 4, else: 3)}], new) do
      nil ->
        nil

      {:calls, {m, f, a}} ->
        "its code_change calls #{Exception.format_mfa(m, f, a)}, which acts outside of a copy"

      :unknown ->
        "its code_change calls more than can be looked through"
    end
  end

  defp trial(kind, world),
    do: kind |> Map.take([:kind, :server, :unit, :page]) |> Map.put(:sought, world.sought)

  defp try_states([], _trial, vm, _world, told), do: {Enum.reverse(told), vm}

  defp try_states([state | rest], trial, vm, world, told) do
    case ScratchVm.ask(vm.alive, {:try, trial, state}, world.limits.answer_ms) do
      {:ok, this} ->
        told = [this | told]
        over? = now() > world.until or Enum.count(told, &endless?/1) >= @endless
        try_states(if(over?, do: [], else: rest), trial, vm, world, told)

      {:gone, why} ->
        {Enum.reverse([gone(trial, why) | told]), again(vm, world)}
    end
  end

  defp endless?({:failed, _, :endless, _, _}), do: true
  defp endless?(_told), do: false

  defp gone(trial, why),
    do:
      {:failed, if(trial.unit, do: :migration, else: :page), :certain,
       "ends the VM that it is tried in: #{why}", []}

  defp again(%{lost: lost}, _world) when lost + 1 >= @lost, do: %{alive: nil, lost: lost + 1}

  defp again(%{lost: lost}, world) do
    case start(world) do
      {:ok, vm} -> %{vm | lost: lost + 1}
      {:error, _} -> %{alive: nil, lost: lost + 1}
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
