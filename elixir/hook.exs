# The beginning of probe.exs and of loaded.exs: what this VM tells of the startup hook.

# That the package is there says nothing of whether the application calls it. One that cannot tell is fly_deploy's own, or old.
hook =
  cond do
    not (Code.ensure_loaded?(FlyDeploy) and function_exported?(FlyDeploy, :startup_reapply_current, 1)) ->
      "absent"

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
