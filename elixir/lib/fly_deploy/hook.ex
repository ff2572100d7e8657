defmodule FlyDeploy.Hook do
  @moduledoc false

  # Remembers that the startup hook was called, and how that ended. That a release has the package says nothing of it:
  # flydeploy asks the VM for this (`status`, `doctor`), by this module's name.

  alias FlyDeploy.Version

  @type outcome :: :running | :reapplied | :none | :failed | :gave_up

  @app :fly_deploy
  @key :hook

  @doc "Notes down a call for `otp_app`, and later how it ended, in words."
  @spec note(atom, outcome, String.t()) :: :ok
  def note(otp_app, outcome, text \\ ""),
    do: Application.put_env(@app, @key, Map.put(calls(), otp_app, {outcome, text}))

  @doc """
  Notes down what the hook can read in current.json, which the console asks for (hook.exs), and that it applies configuration and
  children again, which the agent asks for. It is about the image's own hook, by which
  the machine boots again: once an upgrade runs, this may be another one.
  """
  @spec note_reads() :: :ok
  def note_reads do
    if Version.running()[:version] == nil do
      Application.put_env(@app, :reads, :names)
      Application.put_env(@app, :applies, true)
    end

    :ok
  end

  @gave_up :gave_up

  @doc "Notes down that this machine boots without the upgrade of this id, which its last boots have not survived."
  @spec give_up(String.t()) :: :ok
  def give_up(id), do: Application.put_env(@app, @gave_up, [id | given_up()])

  @doc "Whether `give_up/1` was called for this upgrade."
  @spec gave_up?(String.t() | nil) :: boolean
  def gave_up?(id), do: id in given_up()

  defp given_up, do: Application.get_env(@app, @gave_up, [])

  @doc "The last call for each application since the VM started."
  @spec calls() :: %{atom => {outcome, String.t()}}
  def calls, do: Application.get_env(@app, @key, %{})
end
