defmodule FlyDeploy.AppliedChildren do
  @moduledoc false

  # Children that the recorded upgrade has started and ended on running machines (`flydeploy hot --apply-children`), at a restart:
  # supervisors with a module of their own start with the new code. The application's own tree is put together by `start/2`, which
  # runs in the image's code; where its module tells its children by an exported function, the tree is brought to these as soon as the
  # application has started. See `FlyDeployAgent.AppChildren`.

  alias FlyDeployAgent.AppChildren

  require Logger

  @look_ms 100
  # An application may take so long to start.
  @looks 6_000

  @doc "Does that in a process of its own, once the application has started; nothing for an upgrade that applies none."
  @spec later(FlyDeploy.Metadata.upgrade(), atom) :: any
  def later(%{apply_children: nil}, _app), do: :ok
  def later(_upgrade, app), do: spawn(fn -> await(app, @looks) end)

  defp await(_app, 0), do: :ok

  defp await(app, looks) do
    if List.keymember?(:application.which_applications(:infinity), app, 0) do
      told(AppChildren.apply_all(AppChildren.of_application(app), :keep))
    else
      Process.sleep(@look_ms)
      await(app, looks - 1)
    end
  end

  defp told(%{started: 0, ended: 0, failed: []}), do: :ok

  defp told(%{started: started, ended: ended, failed: []}),
    do: Logger.info("FlyDeploy started #{started} and ended #{ended} children of the hot upgrade's tree")

  defp told(%{failed: failed}),
    do: Logger.error("FlyDeploy could not apply the children of the hot upgrade: #{Enum.join(failed, "; ")}")
end
