defmodule FlyDeploy.AppliedChildren do
  @moduledoc false

  # Children that the recorded upgrade has started and ended on running machines (`flydeploy hot --apply-children`), at a restart.
  #
  # What starts after the hook starts with the new code. But the application's own tree is put together by `start/2`, which runs in the
  # image's code, and applications that this one needs have started before. Where modules tell children, such a tree is brought to them: those
  # of the others before this application goes on, its own as soon as it has started. Children whose arguments differ are started again, as
  # at any other restart they would have got them. See `FlyDeployAgent.AppChildren`.

  alias FlyDeployAgent.{AppChildren, ChildLists, Origin, Release}

  require Logger

  # A supervisor that waits for the hook, its child, does not answer.
  @answer_ms 1_000
  @look_ms 100
  # An application may take so long to start.
  @looks 6_000

  @typedoc "What is brought along at once, and what once the application has started; nil if the upgrade applies no children."
  @type found :: %{now: [AppChildren.tree()], later: [AppChildren.tree()]} | nil

  @doc "What there is to do for an upgrade that changes these modules. It asks the image's code, which must still be loaded."
  @spec find(FlyDeploy.Metadata.upgrade(), atom, [module]) :: found
  def find(%{apply_children: nil}, _app, _modules), do: nil

  def find(_upgrade, app, modules) do
    others =
      for {other, _, _} <- :application.which_applications(),
          other != app,
          Release.origin(other) == :library,
          do: other

    {now, later} =
      modules |> MapSet.new() |> supervisors() |> Enum.split_with(fn {_, _, of} -> of in others end)

    %{now: started(now) ++ Enum.flat_map(others, &own/1), later: started(later) ++ own(app)}
  end

  # The tree that an application's module puts together.
  defp own(app) do
    case :application.get_key(app, :mod) do
      {:ok, {module, _}} -> [tree({module, :start, 2}, nil)]
      _ -> []
    end
  end

  # Supervisors that have started with the image's code; what is still to be started gets the new one.
  defp supervisors(modules) do
    for pid <- Process.list(),
        {:supervisor, module, _} <- [Origin.initial_call(pid)],
        leads_to?(module, modules),
        do: {module, pid, of(pid)}
  end

  defp of(pid), do: with({:ok, app} <- :application.get_application(pid), do: app)

  # Its children are listed in a changed module: in itself, or in one that it calls.
  defp leads_to?(module, modules) do
    module in modules or
      with [_ | _] = file <- :code.which(module),
           true <- file |> List.to_string() |> Release.library?(),
           {:ok, {_, [imports: imports]}} <- :beam_lib.chunks(file, [:imports]),
           do: Enum.any?(imports, fn {m, _, _} -> m in modules end),
           else: (_ -> false)
  end

  defp started(supervisors) do
    for {module, all} <- Enum.group_by(supervisors, &elem(&1, 0), &elem(&1, 1)),
        do: tree({module, :init, 1}, all)
  end

  defp tree(root, pids) do
    named = with {:ok, ids} <- ChildLists.named(root, pids, @answer_ms), do: ids, else: (:error -> nil)
    %{root: root, added: [], removed: :any, named: named, pids: pids}
  end

  @doc "Does it, as soon as the new code is loaded: what concerns `app` in a process of its own, once it has started."
  @spec apply_all(found, atom) :: any
  def apply_all(nil, _app), do: :ok

  def apply_all(found, app) do
    told(found.now)
    spawn(fn -> await(found.later, app, @looks) end)
  end

  defp await(_trees, _app, 0), do: :ok

  defp await(trees, app, looks) do
    if List.keymember?(:application.which_applications(:infinity), app, 0) do
      told(trees)
    else
      Process.sleep(@look_ms)
      await(trees, app, looks - 1)
    end
  end

  # The new code runs, whatever comes of it.
  defp told(trees) do
    trees |> AppChildren.apply_all(:restart) |> log()
  catch
    kind, _reason -> log(%{failed: ["an unexpected #{kind}"]})
  end

  defp log(%{started: 0, ended: 0, restarted: 0, failed: []}), do: :ok

  defp log(%{failed: []} = told) do
    Logger.info(
      "FlyDeploy started #{told.started}, ended #{told.ended} and restarted #{told.restarted} children of the hot upgrade's trees"
    )
  end

  defp log(%{failed: failed}),
    do: Logger.error("FlyDeploy could not apply the children of the hot upgrade: #{Enum.join(failed, "; ")}")
end
