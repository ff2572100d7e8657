defmodule FlyDeploy.Hook do
  @moduledoc false

  # Remembers that the startup hook was called, and how that ended. That a release has the package says nothing of it:
  # flydeploy asks the VM for this (`status`, `doctor`), by this module's name.

  @type outcome :: :running | :reapplied | :none | :failed

  @app :fly_deploy
  @key :hook

  @doc "Notes down a call for `otp_app`, and later how it ended, in words."
  @spec note(atom, outcome, String.t()) :: :ok
  def note(otp_app, outcome, text \\ ""),
    do: Application.put_env(@app, @key, Map.put(calls(), otp_app, {outcome, text}))

  @doc "The last call for each application since the VM started."
  @spec calls() :: %{atom => {outcome, String.t()}}
  def calls, do: Application.get_env(@app, @key, %{})
end
