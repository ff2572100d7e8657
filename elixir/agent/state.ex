defmodule FlyDeployAgent.State do
  @moduledoc """
  What the agent knows of its upgrade. Whatever changes what the console should read publishes it.

    * `state` – one of the states of `FlyDeployAgent`; `deadline` – when it ends by itself, a monotonic time in milliseconds
    * `pauses` – how often it has paused since it entered its state
    * `published` – when the status was written last, likewise; `news` – whether there is something to write since
    * `phases` and `downloaded` – what the worker has told so far; `boot` – see `FlyDeployAgent.Release.boot/0`
    * `staged`, `armed`, `result` – what each step gave; `error` – why the upgrade failed; `report` – what became of the full one
    * `vitals` – see `FlyDeployAgent.Vitals`
    * `queues` – mailboxes, see `FlyDeployAgent.Queues`, and `looked`, when they were looked at last
    * `crashed` – processes of the window that have died since; `watch` – see `FlyDeployAgent.Watch`, and `watch_told`, how many
      crashes the console knows of; `worker` – what is done beside the loop
    * `guardian` – its pid; of the guardian that goes on as the agent, its own
  """

  alias FlyDeployAgent.{
    Armed,
    Cell,
    Order,
    Queues,
    Release,
    Result,
    Staged,
    Status,
    Supervisors,
    Vitals,
    Watch,
    Worker
  }

  # Between two looks for orders: the longer nothing happens, the more. Each wakes the VM's schedulers, which then wait busily: 20 in a
  # second take a fiftieth of a core.
  @pause_ms 50
  @longer_ms 3
  @longest_ms 250
  # While something is done beside the loop no order may come but an abort.
  @working_ms 100
  # A mailbox is told after four looks at which it was longer each time: within the shortest bake time that is a default, ten seconds.
  @look_ms 2_000

  @enforce_keys [:order, :dir, :cell, :deadline, :guardian, :watch, :vitals, :boot]
  defstruct @enforce_keys ++
              [
                state: :injected,
                pauses: 0,
                published: 0,
                news: false,
                phases: [],
                downloaded: 0,
                staged: nil,
                armed: nil,
                result: nil,
                error: nil,
                report: nil,
                crashed: 0,
                watch_told: 0,
                queues: %{},
                looked: 0,
                worker: nil
              ]

  @type t :: %__MODULE__{
          order: Order.t(),
          dir: Path.t(),
          cell: Cell.t(),
          deadline: integer,
          guardian: pid,
          state: atom,
          pauses: non_neg_integer,
          published: integer,
          news: boolean,
          boot: binary,
          phases: [Cell.phase()],
          downloaded: non_neg_integer,
          staged: Staged.t() | nil,
          armed: Armed.t() | nil,
          result: Result.t() | nil,
          error: %{name: binary, what: binary} | nil,
          report: binary | nil,
          crashed: non_neg_integer,
          watch: Watch.t(),
          vitals: Vitals.t(),
          watch_told: non_neg_integer,
          queues: Queues.t(),
          looked: integer,
          worker: Worker.t() | nil
        }

  @spec fresh(Order.t(), Path.t(), guardian :: pid) :: t
  def fresh(order, dir, guardian),
    do: %__MODULE__{
      order: order,
      dir: dir,
      cell: Cell.new(),
      deadline: now() + order.staged_ms,
      guardian: guardian,
      looked: now(),
      watch: Watch.open(guardian),
      vitals: Vitals.start(),
      boot: Release.boot()
    }

  @doc "What is told to whoever wants to start another agent."
  @spec about(t) :: map
  def about(s) do
    %{
      id: s.order.id,
      owner: s.order.owner,
      fence: s.order.fence,
      state: s.state,
      expires_in_ms: max(s.deadline - now(), 0),
      dir: s.dir,
      boot: s.boot
    }
  end

  @doc "Enters a state, in which it stays for `ms` unless something happens."
  @spec enter(t, atom, non_neg_integer) :: t
  def enter(s, state, ms), do: publish(%{s | state: state, deadline: now() + ms, pauses: 0})

  @doc "How long to wait before the next look for orders, in milliseconds."
  @spec pause(t) :: {pos_integer, t}
  def pause(s) do
    ms = min(@pause_ms + s.pauses * @longer_ms, @longest_ms)
    {if(s.worker, do: max(ms, @working_ms), else: ms), %{s | pauses: s.pauses + 1}}
  end

  @doc "Writes the status."
  @spec publish(t) :: t
  def publish(s) do
    Status.write(s)
    %{s | published: now(), news: false}
  end

  @doc "Looks at mailboxes and vitals every two seconds, however often the status is written meanwhile."
  @spec look(t) :: t
  def look(s) do
    if now() - s.looked < @look_ms do
      s
    else
      Watch.renew(s.watch)
      if s.state == :committed, do: Supervisors.ask(s.watch)
      vitals(%{s | queues: Queues.of(s), looked: now()})
    end
  end

  @doc "Looks at the vitals for the last time before the commit."
  @spec last_look(t) :: t
  def last_look(s), do: s |> vitals() |> Map.update!(:vitals, &Vitals.committing/1)

  @doc "Looks at the vitals alone, out of turn."
  @spec vitals(t) :: t
  def vitals(s),
    do: %{s | vitals: Vitals.look(s.vitals, s.watch, if(s.staged, do: s.staged.targets, else: []))}

  @doc "Has something done beside the loop, see `FlyDeployAgent.Worker`."
  @spec work(t, ((term -> any) -> term)) :: t
  def work(s, fun), do: %{s | worker: Worker.start(fun)}

  @spec end_worker(t) :: t
  def end_worker(%{worker: nil} = s), do: s

  def end_worker(s) do
    Worker.stop(s.worker)
    %{s | worker: nil}
  end

  defp now, do: System.monotonic_time(:millisecond)
end
