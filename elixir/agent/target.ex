defmodule FlyDeployAgent.Target do
  @moduledoc """
  A process that is suspended and upgraded, see `FlyDeployAgent.Processes`, and what the window asks of it: `suspend`, one request,
  and `migrate`, one for each of its units.
  """

  @enforce_keys [:pid, :module, :kind, :units]
  defstruct @enforce_keys ++ [suspend: nil, migrate: []]

  @type t :: %__MODULE__{
          pid: pid,
          module: module,
          kind: :gen_server | :gen_statem | :gen_event | :agent,
          units: [{module, old_vsn :: term}],
          suspend: FlyDeployAgent.Rounds.request() | nil,
          migrate: [FlyDeployAgent.Rounds.request()]
        }
end
