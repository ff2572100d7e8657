# What `bin/NAME rpc` evaluates in the running VM, after the bindings that the console puts in front of it:
# id (the order's), source (base64 of zlib), agent (the agent's main module), modules (how many the agent has), order
# (base64, or "").
#
# Where an agent is at work already it says so, and compiles nothing. Otherwise it compiles those modules of the source
# that the VM lacks, so that a part whose request was cut off can be sent again, and with the last part it starts the
# agent. The answer is one line with a marker.
#
# What is evaluated here belongs to no module, so the sweeper can remove them all. It does so under the same lock under
# which an agent starts: either it sees the agent, or the agent does not find its modules.

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

# The agent may be of another version of flydeploy: any version's modules can encode what it says. They stay while the
# lock is held.
encode = fn about ->
  json = ~r/\AElixir\.FlyDeployAgent_\w+\.Json\z/
  {module, _} = Enum.find(:code.all_loaded(), fn {m, _} -> Atom.to_string(m) =~ json end)
  module.encode(about)
end

# What the agent in this VM says; nil without one. An agent inside its window answers only afterwards.
at_work = fn ->
  with pid when is_pid(pid) <- Process.whereis(:flydeploy_agent) do
    ref = Process.monitor(pid)
    send(pid, {:flydeploy_describe, self(), ref})

    receive do
      {^ref, about} ->
        Process.demonitor(ref, [:flush])
        {if(about.id == id, do: "started", else: "busy"), encode.(about)}

      {:DOWN, ^ref, _, _, _} ->
        nil
    after
      5_000 -> {"busy", ~s({"id":"","owner":"","state":"committing","expires_in_ms":0})}
    end
  end
end

compile = fn ->
  # The source may be one module, or none: with two lines more it is always a block.
  text = source |> Base.decode64!() |> :zlib.uncompress()
  {:__block__, _, code} = Code.string_to_quoted!(text <> "\nnil\nnil")

  for {:defmodule, _, [{:__aliases__, _, name} | _]} = module <- code,
      not :erlang.module_loaded(Module.concat(name)) do
    Code.compile_quoted(module, "flydeploy")
  end
end

complete? = fn ->
  Enum.count(:code.all_loaded(), fn {m, _} -> String.starts_with?(Atom.to_string(m), "Elixir." <> agent) end) ==
    modules
end

start = fn ->
  case Module.concat([agent]).start(order, sweep) do
    # The guardian of an agent that died has taken its name.
    :taken -> at_work.() || {"incomplete", "{}"}
    answer -> answer
  end
end

one_at_a_time.(fn ->
  {word, json} =
    with nil <- at_work.() do
      compile.()

      cond do
        order == "" -> {"loaded", "{}"}
        complete?.() -> start.()
        true -> {"incomplete", "{}"}
      end
    end

  IO.puts("FLYDEPLOY1 " <> word <> " " <> json)
end)
