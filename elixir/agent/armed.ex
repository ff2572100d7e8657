defmodule FlyDeployAgent.Armed do
  @moduledoc """
  An upgrade that is ready for its commit: what was staged, prepared code for both ways by module, and the stand-ins
  (`FlyDeployAgent.CallbackMode`).
  """

  @enforce_keys [:staged, :forward, :back, :stand_ins]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          staged: FlyDeployAgent.Staged.t(),
          forward: %{module => term},
          back: %{module => term},
          stand_ins: %{module => map}
        }
end
