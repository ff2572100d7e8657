defmodule FlyDeployAgent.Aftermath do
  @moduledoc """
  What is done once everything runs again: the new files are put in place, or removed, endpoints are told, and what was committed is checked
  once more.
  """

  alias FlyDeployAgent.{Beam, Files, Result, Snapshot, Static, Window}

  @doc """
  Settles a window that ended with `result`, whose upgrade has these `files`. Gives the completed result, and what is wrong after a commit,
  or nil.
  """
  @spec settle([{Path.t(), Path.t()}], binary, Window.t(), Result.t()) ::
          {Result.t(), %{name: binary, what: binary} | nil}
  def settle(files, id, window, result) do
    {unplaced, cold} =
      if result.outcome == :committed do
        unplaced = Files.place(files, id)
        {_warmed, cold} = Static.warm(files)
        {unplaced, cold}
      else
        Files.clean(files, id)
        {[], []}
      end

    Snapshot.forget(result.targets ++ result.skipped, window.dead)
    result = %Result{result | unplaced: unplaced, deferred: length(window.deferred)}
    {result, error(result, window, unplaced, cold)}
  end

  # All must be new; a difference here is a fault of the agent's, and is told.
  defp error(%{outcome: :committed}, window, unplaced, cold) do
    wrong = for {module, {_, new}} <- window.md5, Beam.loaded_md5(module) != new, do: module

    cond do
      wrong != [] ->
        %{name: "md5_differs", what: "#{inspect(hd(wrong))} is not the code that was swapped in"}

      unplaced != [] ->
        %{name: "not_placed", what: "#{hd(unplaced)} could not be replaced; the code runs, the file is old"}

      cold != [] ->
        %{
          name: "not_warmed",
          what: "#{inspect(hd(cold))}.config_change/2 failed; it serves the old static manifest"
        }

      true ->
        nil
    end
  end

  defp error(_result, _window, _unplaced, _cold), do: nil
end
