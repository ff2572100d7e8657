# What `bin/NAME rpc` evaluates in the running VM about an upgrade on trial, after the bindings that the console puts in front of it:
# confirmed, the id of the deploy whose trial is confirmed, "" to look only. The answer is key=value lines between two markers: the trial that the VM
# is on after that, if it is (FlyDeployAgent.OnTrial), its agent, if it has one, and what the package knows of what ran before.

trial = Application.get_env(:flydeploy, :trial)

trial =
  if trial && trial.id == confirmed do
    for timer <- trial.timers, do: :timer.cancel(timer)
    Application.delete_env(:flydeploy, :trial)
    nil
  else
    trial
  end

on_trial =
  if trial,
    do: [{"trial", "#{trial.id} #{max(trial.until_ms - System.os_time(:millisecond), 0)}"}],
    else: []

# An agent inside its window does not answer.
agent =
  with pid when is_pid(pid) <- Process.whereis(:flydeploy_agent) do
    ref = Process.monitor(pid)
    send(pid, {:flydeploy_describe, self(), ref})

    receive do
      {^ref, about} -> [{"agent_id", about.id}, {"agent_dir", about.dir}]
      {:DOWN, ^ref, _, _, _} -> []
    after
      5_000 -> []
    end
  end

# As FlyDeployAgent.Package.ran/1 has it. An older package cannot tell.
newest =
  with true <- Code.ensure_loaded?(FlyDeploy.Newest),
       true <- function_exported?(FlyDeploy.Newest, :without_trial, 1),
       %{otp_app: otp_app} <- apply(FlyDeploy.Version, :running, []),
       {:ok, at_ms} <- apply(FlyDeploy.Newest, :without_trial, [otp_app]) do
    [{"newest_ms", at_ms}]
  else
    _ -> []
  end

IO.puts([
  "FLYDEPLOY1 trial\n",
  for({key, value} <- on_trial ++ (agent || []) ++ newest, do: "#{key}=#{value}\n"),
  "FLYDEPLOY1 end"
])
