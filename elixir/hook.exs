# The beginning of probe.exs and of loaded.exs: what this VM tells of the startup hook, of whether it catches up by itself, and of what
# upgrades have left undone.

# That the package is there says nothing of whether the application calls it. One that cannot tell is fly_deploy's own, or old.
hook =
  cond do
    # Where an upgrade has dropped it, the image still has it, and boots with its hook: of that nothing is known.
    not (Code.ensure_loaded?(FlyDeploy) and function_exported?(FlyDeploy, :startup_reapply_current, 1)) ->
      if List.keymember?(Application.loaded_applications(), :fly_deploy, 0), do: "unknown", else: "absent"

    not Code.ensure_loaded?(FlyDeploy.Hook) ->
      "unknown"

    apply(FlyDeploy.Hook, :calls, []) == %{} ->
      "uncalled"

    true ->
      "called"
  end

calls =
  if hook == "called" do
    for {app, {outcome, text}} <- apply(FlyDeploy.Hook, :calls, []),
        do: {"call", "#{app} #{outcome} #{String.replace(text, "\n", " ")}"}
  else
    []
  end

# A package that does not catch up, or that was told not to, has nothing to tell.
about =
  if Code.ensure_loaded?(FlyDeploy.CatchUp) and function_exported?(FlyDeploy.CatchUp, :about, 0),
    do: apply(FlyDeploy.CatchUp, :about, [])

caught_up =
  if about,
    do: [{"catch_up", "#{about.mode} #{about.outcome} #{String.replace(about.text, "\n", " ")}"}],
    else: []

# An older package signs nothing.
keys =
  if Code.ensure_loaded?(FlyDeploy.Signature) do
    case apply(FlyDeploy.Signature, :ids, []) do
      {:ok, ids} -> for id <- ids, do: {"public_key", id}
      {:error, text} -> [{"public_key_wrong", text}]
    end
  else
    []
  end

keys =
  case Application.get_env(:fly_deploy, :state_dir) do
    dir when is_binary(dir) -> keys ++ [{"state_dir", String.replace(dir, "\n", " ")}]
    _ -> keys
  end

# What the hook that this VM has booted with can read in current.json: an older one notes nothing down.
keys =
  case Application.get_env(:fly_deploy, :reads) do
    :names -> keys ++ [{"reads", "names"}]
    _ -> keys
  end

# As trial.exs tells it.
keys =
  with true <- Code.ensure_loaded?(FlyDeploy.Newest),
       true <- function_exported?(FlyDeploy.Newest, :without_trial, 1),
       %{otp_app: otp_app} <- apply(FlyDeploy.Version, :running, []),
       {:ok, at_ms} <- apply(FlyDeploy.Newest, :without_trial, [otp_app]) do
    back =
      if function_exported?(FlyDeploy.Newest, :taken_back_to, 2),
        do: apply(FlyDeploy.Newest, :taken_back_to, [otp_app, at_ms])

    keys ++ [{"newest_ms", at_ms}] ++ for(sha256 <- List.wrap(back), do: {"taken_back_to", sha256})
  else
    _ -> keys
  end

# What upgrades have left undone, at the boot or since: children that do not run (FlyDeployAgent.Unstarted), and settings that applications have
# not taken (FlyDeployAgent.AppConfig). A supervisor that does not answer may still wait for its child.
idle = fn supervisor ->
  try do
    for {id, :undefined, _, _} <- GenServer.call(supervisor, :which_children, 500), do: id
  catch
    :exit, {:timeout, _} -> :busy
    :exit, _ -> []
  end
end

unstarted =
  for {supervisor, all} <- Enum.group_by(Application.get_env(:flydeploy, :unstarted, []), & &1.supervisor),
      ids = idle.(supervisor),
      %{id: id, root: {module, _, _}, why: why} <- all,
      ids == :busy or id in ids,
      do: "#{inspect(id)} of #{inspect(module)} (#{why})"

untold =
  for {app, names} <- Enum.group_by(Application.get_env(:flydeploy, :untold, []), &elem(&1, 0), &elem(&1, 1)),
      do: "#{inspect(app)} (#{Enum.map_join(names, ", ", &inspect/1)})"

undone =
  for {name, all} <- [child_not_started: unstarted, config_not_taken: untold],
      more = length(all) - 5,
      text <- Enum.take(all, 5) ++ if(more > 0, do: ["#{more} more"], else: []),
      do: {"undone", "#{name} #{String.replace(text, "\n", " ")}"}
