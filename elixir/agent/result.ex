defmodule FlyDeployAgent.Result do
  @moduledoc """
  How a window ended: committed, rolled_back, rolled_back_with_losses, or failed (nothing was swapped).

    * `failures` – what is told of each process that could not be suspended or migrated, see `FlyDeployAgent.Failure`
    * `migrated` – answers of code_change; `died` – processes that ended by themselves meanwhile; `killed` – those that the agent ended
    * `fresh` – those that were ended so that they start afresh, see `FlyDeployAgent.Fresh`
    * `targets` – all that were suspended; `skipped` – those that would not suspend and were left out
    * `children` – what became of children that were started and ended, see `FlyDeployAgent.AppChildren`, nil if none were to be
    * `unplaced` – files that still hold the old code; `views` – how many LiveViews show the new code; `deferred` – modules that were
      loaded after the migrations
  """

  @enforce_keys [:outcome, :targets]
  defstruct @enforce_keys ++
              [
                failures: [],
                migrated: 0,
                died: [],
                killed: [],
                fresh: [],
                skipped: [],
                children: nil,
                unplaced: [],
                views: 0,
                deferred: 0
              ]

  @type outcome :: :committed | :rolled_back | :rolled_back_with_losses | :failed
  @type t :: %__MODULE__{
          outcome: outcome,
          targets: [FlyDeployAgent.Target.t()],
          failures: [FlyDeployAgent.Failure.t()],
          migrated: non_neg_integer,
          died: [pid],
          killed: [pid],
          fresh: [pid],
          skipped: [FlyDeployAgent.Target.t()],
          children: FlyDeployAgent.AppChildren.told() | nil,
          unplaced: [Path.t()],
          views: non_neg_integer,
          deferred: non_neg_integer
        }
end
