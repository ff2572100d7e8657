defmodule FlyDeployAgent.Armed do
  @moduledoc """
  An upgrade that is ready for its commit: what was staged, prepared code for both ways by module, the stand-ins
  (`FlyDeployAgent.CallbackMode`), and which of the files that come early did not exist (`FlyDeployAgent.Files.absent/1`).
  """

  @enforce_keys [:staged, :forward, :back, :stand_ins, :absent]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          staged: FlyDeployAgent.Staged.t(),
          forward: %{module => FlyDeployAgent.Loader.prepared()},
          back: %{module => FlyDeployAgent.Loader.prepared()},
          stand_ins: %{module => FlyDeployAgent.CallbackMode.stand_in()},
          absent: [Path.t()]
        }
end
