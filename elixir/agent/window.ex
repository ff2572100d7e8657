defmodule FlyDeployAgent.Window do
  @moduledoc """
  What the agent knows of a window, and hands to the guardian before the first suspend.

    * `cell` – see `FlyDeployAgent.Cell`; `dead` – an ended process, to which answers go that nobody reads
    * `guardian` – its pid; `known` – the processes that have been looked at, see `FlyDeployAgent.Births.known/1`
    * `targets` – see `FlyDeployAgent.Processes`; `supervisors` – those of the targets, so that nothing is born meanwhile
    * `born` – those of the targets that were born during the swap
    * `newborn` – all that were born in the window, as far as they have been looked at
    * `skipped` – targets that would not suspend and are left out: they are migrated when they come to it, after all others
    * `visible` – whether pages must show something new; `views` – LiveViews that are no targets, `held` – those of them that are
      suspended, so that they render in the window
    * `back?` – an upgrade is taken back: the code that runs migrates; `fresh` – processes that are ended then, and `restarting`, the
      supervisors that start them again, see `FlyDeployAgent.Fresh`
    * `changed` – facts of the changed modules, `own` – pids of the agent
    * `needed` – modules that the migrations need, which are loaded before them; `deferred` – all others, which are loaded after
      they have succeeded; `added` – which of both are new
    * `forward`, `back` – prepared code by module; `md5` – `%{module => {old, new}}`
    * `stand_ins` – see `FlyDeployAgent.CallbackMode`; `restore` – see `FlyDeployAgent.Snapshot.restoring/0`
    * `suspend_ms` – how long a process may take to suspend, `patient_ms` – likewise, while nothing else is suspended
    * `migration_ms` – that long without any answer, and the migrations that have not answered hang, if all of them wait
    * `max_suspend_ms` – how long processes may be suspended, all attempts together; `rollback_us` – what going back takes of it
      while only `needed` is loaded; `purge_us` – what each module of `deferred` adds to that when it is loaded
    * `config` – settings that are applied before the new code is loaded, see `FlyDeployAgent.ConfigChange.both/1`
    * `loader_ms` – how long the code server may take to answer when all have been suspended
    * `skip_busy` – whether the others are upgraded where some would not suspend, see `FlyDeployAgent.Skipping`
  """

  alias FlyDeployAgent.{Cell, Waiting}

  @enforce_keys [
    :cell,
    :dead,
    :guardian,
    :known,
    :targets,
    :supervisors,
    :visible,
    :views,
    :changed,
    :own,
    :needed,
    :deferred,
    :added,
    :forward,
    :back,
    :md5,
    :stand_ins,
    :restore,
    :suspend_ms,
    :patient_ms,
    :migration_ms,
    :max_suspend_ms,
    :rollback_us,
    :skip_busy
  ]
  defstruct @enforce_keys ++
              [
                purge_us: 0,
                loader_ms: 500,
                config: nil,
                born: [],
                newborn: [],
                skipped: [],
                held: [],
                back?: false,
                fresh: [],
                restarting: []
              ]

  @type t :: %__MODULE__{
          cell: Cell.t(),
          dead: pid,
          guardian: pid,
          known: FlyDeployAgent.Births.known(),
          targets: [FlyDeployAgent.Target.t()],
          supervisors: [pid],
          visible: boolean,
          views: [pid],
          held: [pid],
          back?: boolean,
          fresh: [FlyDeployAgent.Fresh.process()],
          restarting: [pid],
          born: [FlyDeployAgent.Target.t()],
          newborn: [pid],
          skipped: [FlyDeployAgent.Target.t()],
          changed: %{module => FlyDeployAgent.Beam.facts()},
          own: [pid],
          needed: [module],
          deferred: [module],
          added: [module],
          forward: %{module => FlyDeployAgent.Loader.prepared()},
          back: %{module => FlyDeployAgent.Loader.prepared()},
          md5: %{module => {binary | nil, binary}},
          stand_ins: %{module => FlyDeployAgent.CallbackMode.stand_in()},
          restore: (pid, reference -> {function, function}),
          suspend_ms: pos_integer,
          patient_ms: pos_integer,
          migration_ms: pos_integer,
          max_suspend_ms: pos_integer,
          rollback_us: non_neg_integer,
          purge_us: non_neg_integer,
          loader_ms: pos_integer,
          config: FlyDeployAgent.ConfigChange.both(),
          skip_busy: boolean
        }

  # A rollback that is estimated to take more than its part of the budget does not keep the migrations from their own.
  @kept_for_rollback 2
  # Beyond what it is allowed, and its estimates, a window may take this long: with the files that come before it.
  @longest_ms 20_000
  # How long a rollback waits for processes to leave old code, if the budget allows it, and if it does not.
  @patience_ms 500
  @least_patience_ms 20

  @doc "How long processes may still be suspended, in milliseconds."
  @spec left_ms(t) :: non_neg_integer
  def left_ms(%{cell: cell, max_suspend_ms: max}), do: max(max - div(Cell.spent_us(cell), 1_000), 0)

  @doc "After how many milliseconds the guardian takes the agent for stuck, and ends the window."
  @spec longest_ms(t) :: pos_integer
  def longest_ms(window) do
    @longest_ms + 3 * (window.patient_ms + window.suspend_ms) + window.max_suspend_ms +
      2 * div(window.rollback_us, 1_000)
  end

  @doc "Until when the migrations must have answered, so that a rollback ends within the budget: a monotonic time in milliseconds."
  @spec migrated_until(t) :: integer
  def migrated_until(%{rollback_us: rollback_us} = window) do
    left = left_ms(window)
    System.monotonic_time(:millisecond) + left - min(div(rollback_us, 1_000), div(left, @kept_for_rollback))
  end

  @doc "Whether a rollback fits into the budget when all code is loaded: the old slot of every changed module must be freed for it."
  @spec all_can_go_back?(t) :: boolean
  def all_can_go_back?(%{deferred: deferred, added: added} = window),
    do: window.rollback_us + window.purge_us * length(deferred -- added) <= left_ms(window) * 1_000

  @doc """
  How patient a rollback is with processes that run code which it must free, see `FlyDeployAgent.Loader.purge/2`. It does not wait for
  those that hang, or were too busy to suspend.
  """
  @spec patience(t, hung :: [pid]) :: {pos_integer, (pid -> boolean)}
  def patience(window, hung) do
    ms = window |> left_ms() |> min(@patience_ms) |> max(@least_patience_ms)
    hopeless = MapSet.new(hung ++ pids(window.skipped))
    {ms, &(&1 in hopeless or Waiting.for_suspended?(&1))}
  end

  @doc "What is to be sent to `pids`."
  @spec all([pid], term) :: [FlyDeployAgent.Rounds.request()]
  def all(pids, request), do: for(pid <- pids, do: {pid, request})

  @spec pids([FlyDeployAgent.Target.t()]) :: [pid]
  def pids(targets), do: for(%{pid: pid} <- targets, do: pid)

  @spec without([FlyDeployAgent.Target.t()], [pid]) :: [FlyDeployAgent.Target.t()]
  def without(targets, []), do: targets

  def without(targets, pids) do
    pids = MapSet.new(pids)
    Enum.reject(targets, &(&1.pid in pids))
  end
end
