defmodule FlyDeployAgent.Aftermath do
  @moduledoc """
  What is done once everything runs again: the new files are put in place, or those of before put back, endpoints are told, and what was
  committed is checked once more.
  """

  alias FlyDeployAgent.{
    AppChildren,
    Armed,
    Beam,
    ConfigChange,
    Files,
    Fresh,
    Result,
    Snapshot,
    Static,
    Window
  }

  @doc """
  Settles the window of an armed upgrade that ended with `result`. Gives the completed result, and what is wrong with what lies in
  files and memory now, or nil.
  """
  @spec settle(Armed.t(), FlyDeployAgent.Order.t(), Window.t(), Result.t(), ([pid] -> any)) ::
          {Result.t(), %{name: binary, what: binary} | nil}
  def settle(armed, %{id: id} = order, window, %Result{} = result, ending) do
    files = armed.staged.diff.files
    committed = result.outcome == :committed
    unplaced = if committed, do: Files.place(files, id), else: Files.take_back(files, armed.absent, id)
    Files.clean(files, id)
    # After a commit the endpoint's own code may be another than the one that was told before.
    {_warmed, cold} = Static.warm(files)
    Snapshot.forget(result.targets ++ result.skipped, window.dead)
    Fresh.settle(window.restarting, window.dead)
    result = %Result{result | unplaced: unplaced, deferred: length(window.deferred)}
    wrong = if committed, do: wrong(window), else: []
    deaf = if committed, do: ConfigChange.tell(armed.staged.config), else: []
    children = if committed, do: children(armed, order, ending)
    result = %Result{result | children: children}

    {result,
     error(%{
       committed: committed,
       wrong: wrong,
       unplaced: unplaced,
       cold: cold,
       deaf: deaf,
       children: children
     })}
  end

  defp children(armed, order, ending) do
    trees = AppChildren.trees(armed.staged.findings, order.apply_children)
    if trees != [], do: AppChildren.apply_all(trees, order.apply_children, ending)
  end

  # All must be new; a difference here is a fault of the agent's, and is told.
  defp wrong(window), do: for({module, {_, new}} <- window.md5, Beam.loaded_md5(module) != new, do: module)

  defp error(%{wrong: [module | _]}),
    do: %{name: "md5_differs", what: "#{inspect(module)} is not the code that was swapped in"}

  # These are judged: a machine is not well with them.
  defp error(%{children: %{failed: [_ | _] = failed}}),
    do: %{name: "child_not_started", what: Enum.join(failed, "; ")}

  defp error(%{deaf: [module | _]}),
    do: %{
      name: "config_not_taken",
      what:
        "#{inspect(module)}.config_change/3 failed, or did not return; the new settings are in the application environment"
    }

  defp error(%{committed: true, unplaced: [file | _]}),
    do: %{name: "not_placed", what: "#{file} could not be replaced; the code runs, the file is old"}

  defp error(%{committed: false, unplaced: [file | _]}),
    do: %{name: "not_taken_back", what: "#{file} could not be put back; the old code runs, the file is new"}

  defp error(%{cold: [endpoint | _]}) do
    what =
      "#{inspect(endpoint)}.config_change/2 failed; it may serve another static manifest than the one on disk"

    %{name: "not_warmed", what: what}
  end

  defp error(_all_is_well), do: nil
end
