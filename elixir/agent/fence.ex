defmodule FlyDeployAgent.Fence do
  @moduledoc """
  Keeps out deploys that have lost the lock. An order's fence is the id of its deploy, a ULID: these are in the order in which the lock
  was taken. A VM that has met a newer one takes no orders of an older one any more, however late they arrive.

  It is remembered in the application environment, until the VM ends: an agent does not live that long.
  """

  @app :flydeploy
  @key :fence

  @doc "Lets a deploy in, and remembers it; nil, that of a machine which catches up, is always let in."
  @spec pass(binary | nil) :: :ok | {:error, newer :: binary}
  def pass(nil), do: :ok

  def pass(mine) do
    newest = Application.get_env(@app, @key, "")
    if newest > mine, do: {:error, newest}, else: Application.put_env(@app, @key, mine)
  end
end
