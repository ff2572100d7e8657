defmodule FlyDeployAgent.Windows do
  @moduledoc "Windows for tests, and how the agent runs one."

  alias FlyDeployAgent.{Births, Cell, Commit, Guardian, Snapshot, Window}

  @doc "A window with nothing to swap, and as much patience as a slow computer needs; `fields` override that."
  @spec new(Enumerable.t()) :: Window.t()
  def new(fields \\ []) do
    %Window{
      cell: Cell.new(),
      dead: spawn(fn -> :ok end),
      guardian: guardian(),
      known: Births.known(Process.list()),
      targets: [],
      supervisors: [],
      visible: false,
      views: [],
      changed: %{},
      own: [],
      needed: [],
      deferred: [],
      added: [],
      forward: %{},
      back: %{},
      md5: %{},
      stand_ins: %{},
      restore: Snapshot.restoring(),
      suspend_ms: 50,
      patient_ms: 200,
      migration_ms: 5_000,
      max_suspend_ms: 20_000,
      rollback_us: 0,
      loader_ms: 60_000,
      skip_busy: false
    }
    |> struct!(fields)
  end

  @doc "Loads all code, as in a release: the code server may be busy with what other tests compile."
  @spec load_all() :: :ok
  def load_all do
    for app <- [:fly_deploy, :elixir, :stdlib, :kernel], module <- Application.spec(app, :modules) do
      Code.ensure_loaded(module)
    end

    :ok
  end

  @doc "A guardian of this process that does not take over."
  @spec guardian() :: pid
  def guardian, do: Guardian.start(self(), fn _carry, _settle -> :ok end)

  @doc "Runs it as the agent does. `carry` is what its guardian gets if it takes over, `before` is called when the guardian holds it."
  @spec run(Window.t(), term, (() -> any)) :: FlyDeployAgent.Result.t()
  def run(%{guardian: guardian} = window, carry \\ nil, before \\ fn -> :ok end) do
    _ = Guardian.hold(window, carry, 60_000)
    before.()
    result = Commit.run(window)
    Guardian.let_go(guardian)
    Guardian.stop(guardian)
    Snapshot.forget(result.targets ++ result.skipped, window.dead)
    result
  end
end
