defmodule FlyDeployAgent.Staged do
  @moduledoc """
  What staging has found.

    * `diff` – see `FlyDeployAgent.Diff`; `facts` – of every changed module, see `FlyDeployAgent.Beam.facts/1`
    * `changed` – facts of the modules that run already, with `vsn`, their old version
    * `known` – the processes that were looked at, `targets` and `others` – what they are, see `FlyDeployAgent.Processes.scan/3`
    * `holders` – processes outside of the targets with changed code on their stack
    * `fresh` – modules whose processes cannot go back with their states, and why; `ended` – these, see `FlyDeployAgent.Fresh`
    * `closure` – changed modules that the migrations may call
    * `config` – what of the configuration is applied, nil if none is asked for, see `FlyDeployAgent.AppConfig`
    * `purge_us` – what it costs to free one old slot; `rollback_us` – how long a rollback would suspend, estimated
    * `migrating` – how many of the targets have a migration that does something, see `FlyDeployAgent.Migrating`
    * `version` – of the application that runs, nil if unknown; `ran` – see `FlyDeployAgent.Package.ran/1`; `functions` – see `FlyDeployAgent.FunctionChanges`
    * `findings` – see `FlyDeployAgent.Findings`; `up_to_date` – a commit would change nothing
  """

  @enforce_keys [:diff, :facts]
  defstruct @enforce_keys ++
              [
                changed: %{},
                known: nil,
                targets: [],
                others: [],
                holders: [],
                fresh: %{},
                ended: [],
                closure: MapSet.new(),
                config: nil,
                purge_us: 0,
                rollback_us: 0,
                migrating: 0,
                version: nil,
                ran: nil,
                functions: %{},
                findings: [],
                up_to_date: false
              ]

  @type t :: %__MODULE__{
          diff: FlyDeployAgent.Diff.t(),
          facts: %{module => FlyDeployAgent.Beam.facts()},
          changed: %{module => FlyDeployAgent.Beam.facts()},
          known: FlyDeployAgent.Births.known() | nil,
          targets: [FlyDeployAgent.Target.t()],
          others: [FlyDeployAgent.Processes.other()],
          holders: [{pid, [module]}],
          fresh: %{module => binary},
          ended: [FlyDeployAgent.Fresh.process()],
          closure: MapSet.t(module),
          config: FlyDeployAgent.AppConfig.found() | nil,
          purge_us: non_neg_integer,
          rollback_us: non_neg_integer,
          migrating: non_neg_integer,
          version: binary | nil,
          ran: FlyDeployAgent.Package.ran() | nil,
          functions: %{module => FlyDeployAgent.FunctionChanges.t()},
          findings: [FlyDeployAgent.Findings.finding()],
          up_to_date: boolean
        }
end
