# What `bin/NAME rpc` evaluates in the running VM, after the bindings that the console puts in front of it:
# source (base64 of zlib), agent (the agent's module), modules (those below it that are loaded once the source is
# compiled), order (base64, or "").
#
# Compiles the source unless that has been done, and with the last part starts the agent. The answer is one line with a
# marker. What is evaluated here belongs to no module, so the sweeper can remove them all. It does so under the same lock
# under which an agent starts: either it sees the agent, or the agent does not find its modules.

one_at_a_time = fn fun -> :global.trans({:flydeploy_agent, self()}, fun, [node()]) end

sweep = fn started, guardian, dir ->
  spawn(fn ->
    Process.group_leader(self(), Process.whereis(:init))

    for pid <- [started, guardian] do
      ref = Process.monitor(pid)

      receive do
        {:DOWN, ^ref, _, _, _} -> :ok
      end
    end

    if dir, do: File.rm_rf(dir)

    one_at_a_time.(fn ->
      if Process.whereis(:flydeploy_agent) == nil do
        for {module, _} <- :code.all_loaded(),
            module |> Atom.to_string() |> String.starts_with?("Elixir.FlyDeployAgent_") do
          :code.soft_purge(module)
          :code.delete(module)
          :code.soft_purge(module)
        end
      end
    end)
  end)
end

answer = fn word, json -> IO.puts("FLYDEPLOY1 " <> word <> " " <> json) end

root = Module.concat([agent])

loaded? = fn ->
  modules |> String.split() |> Enum.all?(&:erlang.module_loaded(Module.concat(root, &1))) and
    (order == "" or :erlang.module_loaded(root))
end

one_at_a_time.(fn ->
  unless loaded?.() do
    source |> Base.decode64!() |> :zlib.uncompress() |> Code.compile_string("flydeploy")
  end

  cond do
    order == "" ->
      answer.("loaded", "{}")

    loaded?.() ->
      {word, json} = root.start(order, sweep)
      answer.(word, json)

    true ->
      answer.("incomplete", "{}")
  end
end)
