Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.HandlersTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Handlers, Pair, Versions}

  @source """
  defmodule T.Handler do
    def handle(_event, %{prefix: prefix}), do: prefix
    def work(job), do: job.id
    def helper(x), do: x
  end
  """

  @changes [
    {"nothing that matters", [{"helper(x), do: x", "helper(x), do: {x}"}], []},
    {"a handler wants another setting",
     [{"%{prefix: prefix}), do: prefix", "%{prefix: p, level: l}), do: {p, l}"}],
     [{"T.Handler.handle/2", :warn}]},
    {"a setting with a default",
     [{"%{prefix: prefix}), do: prefix", "%{prefix: p} = c), do: {p, c[:level]}"}], []},
    {"a job is to have another key", [{"job.id", "job.key"}], [{"T.Handler.work/1", :block}]}
  ]

  test "handlers with their settings, and jobs with their arguments, that tables hold" do
    old = Versions.beams(@source)
    table = :ets.new(:handlers_test, [:public])
    :ets.insert(table, {:log, [:event], Function.capture(T.Handler, :handle, 2), %{prefix: "p"}})
    :ets.insert(table, {:job, {T.Handler, :work, [%{id: 1}]}})

    for {what, edits, functions} <- @changes do
      new = Enum.reduce(edits, @source, fn {from, to}, text -> String.replace(text, from, to) end)
      pairs = Versions.pairs(old, Versions.beams(new))
      codes = fn version, module -> if module == T.Handler, do: Pair.code(hd(pairs), version) end
      found = Handlers.findings(pairs, codes)

      assert {what, for(f <- found, do: {f.name, f.subject, f.severity})} ==
               {what,
                for({f, severity} <- functions, do: {"stale_shape", "what #{f} is called with", severity})}
    end
  end
end
